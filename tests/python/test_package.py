"""What comes with the package: docstrings, type stubs."""

import ast
import builtins
import inspect
import pathlib

import plica
import plica.backend
import plica.ort

PACKAGE = pathlib.Path(plica.__file__).parent


def test_everything_has_a_docstring():
    assert plica.__doc__ and plica.ort.__doc__ and plica.backend.__doc__
    for name in plica.__all__:
        if not name.startswith("__"):
            assert inspect.getdoc(getattr(plica, name)), name
    for cls in (plica.Model, plica.Session, plica.Report):
        for name, member in vars(cls).items():
            if not name.startswith("_") and callable(member):
                assert member.__doc__, f"{cls.__name__}.{name}"


def test_stubs():
    assert (PACKAGE / "py.typed").exists()
    tree = ast.parse((PACKAGE / "_plica.pyi").read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    assert {"Model", "Session", "Report", "CancelToken", "TensorInfo"} <= set(classes)
    methods = {node.name for node in classes["Session"].body if isinstance(node, ast.FunctionDef)}
    assert {"run", "plan", "profile", "memory", "trim"} <= methods
    known = set(classes) | set(vars(builtins))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            known |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    assert {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} <= known
