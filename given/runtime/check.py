"""Say whether the installation works, `python -m sde_todo check`."""

import argparse
import sys

MINIMUM = (2, 4)


def problem() -> str | None:
    """One sentence about what is wrong with the installation, or None."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return f"torch cannot be imported ({error}); install it with pip install torch torchvision."
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < MINIMUM:
        return f"torch {torch.__version__} is too old; install torch 2.4 or later with torchvision."
    return _torchvision_problem(torch.__version__)


def _torchvision_problem(torch_version):
    """torchvision is compiled against one build of torch and fails on import with another."""
    try:
        import torchvision  # noqa: F401 -- whether it can be imported
    except ImportError as error:
        return f"torchvision cannot be imported ({error}); install it with pip install torchvision."
    except (RuntimeError, OSError, AttributeError) as error:
        return (
            f"torchvision does not fit torch {torch_version} ({str(error).splitlines()[0]}): they "
            f"come from different builds; install both in one command from one place, as in "
            f"pip install --force-reinstall torch==2.12.1 torchvision==0.27.1."
        )
    return None


def main() -> None:
    """Print the versions, or the problem, and exit accordingly."""
    argparse.ArgumentParser(description="Say whether the installation works.").parse_args()
    message = problem()
    if message:
        sys.exit(message)
    import torch
    import torchvision

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if torch.backends.mps.is_available():
        device = "mps"
    print(
        f"Python {sys.version.split()[0]}, torch {torch.__version__}, torchvision "
        f"{torchvision.__version__}, device {device}: ready."
    )
