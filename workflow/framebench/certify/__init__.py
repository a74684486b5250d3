"""The proof that a workload is the same function in every framework, each compared with one neutral reference.

`expected.py` computes a workload in NumPy from its spec (`reference.py`); `observe.py` records what a framework
computes from the same weights and images (`problem.py`), inside that framework's environment; `python -m
framebench.certify` compares the two (`judge.py`) and writes the certificate and its page (`page.py`).
"""
