# Each target is one line; the work is in lab/ (python3 -m lab --help).
# The first Python that runs and is new enough: a pyenv shim may exist and not work.
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
LAB := $(or $(PYTHON),$(error Python 3.11 or newer is needed: apt-get install python3)) -m lab

.PHONY: demo demo-down test check lint bench docs preview clean

demo: ; @$(LAB) up
demo-down: ; @$(LAB) down
test: ; @$(LAB) test $(S) $(if $(T),--minutes $(T))
check: ; @$(LAB) check
lint: ; @$(LAB) lint
bench: ; @$(LAB) bench
docs: ; @$(LAB) docs
preview: ; @$(LAB) preview
clean: ; @$(LAB) clean
