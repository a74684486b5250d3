"""The proof that a workload is the same function in every framework: each against one neutral reference.

`expected.py` computes a workload in NumPy from its spec (`reference.py`), `observe.py` sees what a framework
computes from the same weights and images (`problem.py`) inside that framework's environment, and
`python -m framebench.certify` compares the two (`judge.py`) and writes certificate and `page.py`.
"""
