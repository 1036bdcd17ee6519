"""Tracked text keeps to the words that CONTRIBUTING asks for."""

import re
import subprocess

import pytest

from given.runtime.submission import ROOT

SUFFIXES = (".py", ".md", ".ipynb", ".toml", ".txt", ".yml", "Makefile")
PHRASES = {
    r"in the place of": "instead of",
    r"stands?(?!-)": "is, lies, or replaces",
    r"stood": "was, or replaced",
    r"behind": "after",
    r"left out": "omitted, skipped, or by default",
    r"(?:is|are|was|were) asked (?!for|to)": "is evaluated, or is given",
    r"anew": "again, or from scratch",
    r"mend(?:s|ed|ing)?": "fix, or correct",
    r"grey": "gray",
    r"optimis\w+": "optimizer, optimization",
    r"equations? \d": "eq. 4",
    r"whole_file|put_weights": "atomic_write, load_weights",
}
# Phrases that mean what they say, with the reason.
ALLOWED = {
    "what it was asked; label 0": "requests that a stand-in received",
}


def texts():
    """Every tracked text file but this one, as (name, its words on one line)."""
    command = ["git", "ls-files"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in names.stdout.split("\n"):
        if name.endswith(SUFFIXES) and name != "tests/project/autograder/test_words.py":
            text = (ROOT / name).read_text(encoding="utf-8")
            text = re.sub(r'"image/png": "[^"]*"', "", text)
            yield name, re.sub(r"[\s#\"']+(?:f\")?", " ", text)  # a phrase may cross lines


@pytest.mark.parametrize("phrase", PHRASES)
def test_phrases_are_not_used(phrase):
    found = []
    for name, text in texts():
        for allowed in ALLOWED:
            text = text.replace(allowed, "")
        for match in re.finditer(rf"(?i)\b(?:{phrase})\b", text):
            found.append(f"{name}: ...{text[max(0, match.start() - 40) : match.end() + 20]}...")
    assert not found, f"Write {PHRASES[phrase]}:\n" + "\n".join(found)
