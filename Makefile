# Needs Python 3.11-3.13 and make. `make demo` and `make test` each build .venv and install what they use.
PYTHON  ?= python3
WORKERS ?= auto

VENV := .venv
RUN  := $(VENV)/bin/python

.PHONY: demo test slow fuzz lint bench gpu-check gpu-bench docs clean
.NOTPARALLEL:

# The main job: train, differentiate and plot on real data; writes notebooks/build/quickstart.html.
demo: $(VENV)/ready-notebooks
	$(RUN) notebooks/run.py quickstart

# One thread for each worker: BLAS threads of several workers on the same cores wait for each other.
test slow: export OPENBLAS_NUM_THREADS = 1
# Bytecode is kept whatever the environment says: dozens of tests start Python, which takes four times as long without.
test slow: export PYTHONDONTWRITEBYTECODE =

# Linters, types, tests, doctests and notebooks; warnings are errors.
test: lint
	$(RUN) -m pytest -n $(WORKERS) --dist worksteal

# As above, with every test marked slow instead of a tenth of them.
slow: lint
	$(RUN) -m pytest -n $(WORKERS) --dist worksteal --slow

# Ten thousand random programs, compiled and interpreted, or calls of NumPy's functions, traced and not; prints the
# smallest one that differs. PROGRAMS=n, SEED=n; BACKEND=cuda for the kernels of GPUs, on the emulator.
PROGRAMS ?= 10000
SEED     ?= 0
BACKEND  ?= cpu
fuzz: export OPENBLAS_NUM_THREADS = 1
fuzz: $(VENV)/ready-test
	$(RUN) -m tests.fuzz --programs $(PROGRAMS) --seed $(SEED) --backend $(BACKEND)

lint: $(VENV)/ready-test
	$(RUN) -m ruff check
	$(RUN) -m pyright --warnings --pythonpath $(RUN)

# Side by side with JAX and autograd; memory.py takes some minutes.
bench: $(VENV)/ready-bench
	$(RUN) benchmarks/tracing.py
	$(RUN) benchmarks/progress.py
	$(RUN) benchmarks/memory.py
	$(RUN) benchmarks/cpu.py

# On a machine with an NVIDIA GPU: whether all works there (under ten minutes), and how fast, beside JAX, torch.compile
# and CuPy, whichever are installed. Elsewhere each says what is missing. CUDA=cuda12 for older drivers.
CUDA ?= cuda13
gpu-check: $(VENV)/ready-test $(VENV)/ready-$(CUDA)
	$(RUN) benchmarks/gpu_check.py

gpu-bench: $(VENV)/ready-$(CUDA)
	$(RUN) benchmarks/gpu_bench.py

# The API reference, from the docstrings.
docs: $(VENV)/ready-docs
	$(RUN) -m pdoc functrans --output-directory docs/build

clean:
	rm -rf $(VENV) build dist docs/build notebooks/build .hypothesis .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per extra, so that a second run starts at once; a changed pyproject.toml installs again.
$(VENV)/ready-%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
	  "functrans needs Python 3.11 to 3.13; name one, as in: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing functrans[$*] into $(VENV); the first time takes a minute or two."
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
