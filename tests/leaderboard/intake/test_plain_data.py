import ast
from pathlib import Path

import pytest

import leaderboard

MODULES = sorted(Path(leaderboard.__file__).parent.rglob("*.py"))
MODULES_REFUSED = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "marshal",
                   "shelve", "yaml", "torch"}  # fmt: skip
CALLS_REFUSED = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES_REFUSED = {("np", "load"), ("numpy", "load"), ("yaml", "load"),
                      ("pd", "read_pickle")}  # fmt: skip


def offences(text):
    """Return what a module imports or calls that runs or unpacks foreign code."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            found += names & MODULES_REFUSED
        elif isinstance(node, ast.ImportFrom):
            found += {(node.module or "").split(".")[0]} & MODULES_REFUSED
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found += {node.func.id} & CALLS_REFUSED
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found += {(node.value.id, node.attr)} & ATTRIBUTES_REFUSED
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_s05_no_module_runs_or_unpickles_what_it_reads(path):
    assert offences(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from joblib import load", "eval('1')", "exec(x)",
     "compile(a, b, c)", "np.load(x)", "yaml.load(x)", "import os, marshal"],
)  # fmt: skip
def test_s05_the_test_above_would_find_it(text):
    assert offences(text) != []
    assert offences("import re\nre.compile('a')\njson.load(x)") == []
