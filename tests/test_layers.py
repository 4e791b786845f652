"""The layers of docs/architecture.md, enforced: entry → flow → domain → ground, no cycles; and the size budget."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "baken"
LAYERS = {
    "ground": {
        "model",
        "cases",
        "vault",
        "copies",
        "errors",
        "settings",
        "flood",
        "sealing",
        "audit",
        "accounts",
        "store",
        "_native",
    },
    "domain": {
        "images",
        "videos",
        "vpdq",
        "fingerprints",
        "matching",
        "decisions",
        "samples",
        "listfiles",
        "values",
        "checking",
        "overlay",
        "view_words",
        "vector_index",
        "timestamps",
        "permissions",
        "passwords",
        "second_factor",
        "case_rules",
        "case_steps",
        "priorities",
        "jurisdictions",
        "exposure",
        "previews",
    },
    "flow": {
        "pipeline",
        "candidates",
        "vectors",
        "known",
        "index_files",
        "scan",
        "banking",
        "keeping",
        "access",
        "workers",
        "film_shares",
        "films",
        "seen",
        "retroaction",
        "housekeeping",
        "auditing",
        "people",
        "providers",
        "review",
        "case_keeping",
        "queues",
        "looking",
        "media",
    },
    "entry": {"cli", "web", "demo", "assemble", "checks", "__init__"},
}
ORDER = list(LAYERS)
MAX_FUNCTION_LINES = 80
MAX_FILE_LINES = 800


def module_name(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").as_posix().split("/")[0]


def layer_of(module: str) -> int:
    for level, name in enumerate(ORDER):
        if any(module == known or module.startswith(f"{known}_") for known in LAYERS[name]):
            return level
    raise AssertionError(f"{module} is in no layer: add it to docs/architecture.md and to LAYERS")


def imports_of(tree: ast.AST) -> set[str]:
    """The top-level modules of baken that a file imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "baken":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("baken."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("baken.")}
    return {name for name in found if not name.startswith("__")}


def sources() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py"))


def graph() -> dict[str, set[str]]:
    edges: dict[str, set[str]] = {}
    for path in sources():
        name = module_name(path)
        edges.setdefault(name, set()).update(imports_of(ast.parse(path.read_text())) - {name})
    return edges


def test_imports_never_point_up():
    upward = [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in others
        if layer_of(name) < layer_of(other)
    ]
    assert not upward


def test_there_are_no_import_cycles():
    TopologicalSorter(graph()).prepare()


def test_the_domain_knows_no_web_no_store_and_no_settings():
    for path in sources():
        if layer_of(module_name(path)) == ORDER.index("domain"):
            tree = ast.parse(path.read_text())
            names = imports_of(tree)
            assert not names & {"store", "settings", "web"}, path
            assert not {name.split(".")[0] for name in third_parties_of(tree)} & {
                "fastapi",
                "starlette",
                "sqlalchemy",
            }, path


def third_parties_of(tree: ast.AST) -> set[str]:
    """The packages a file imports, whole names as written."""
    found = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return found | {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}


def test_web_and_commands_speak_neither_sql_nor_kernel():
    for path in sources():
        name = module_name(path)
        if name == "web" or name.startswith("cli"):
            tree = ast.parse(path.read_text())
            assert "sqlalchemy" not in {module.split(".")[0] for module in third_parties_of(tree)}, path
            assert "HammingIndex" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}, path


def test_functions_and_files_stay_within_the_size_budget():
    too_long = []
    for path in sources():
        text = path.read_text()
        if text.count("\n") > MAX_FILE_LINES:
            too_long.append(f"{path.name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    too_long.append(f"{path.name}:{node.name}: {lines} lines")
    assert not too_long


def swallows(handler: ast.ExceptHandler) -> bool:
    """Whether a handler catches everything and does not raise it again."""
    is_broad = handler.type is None or getattr(handler.type, "id", None) in {"Exception", "BaseException"}
    return is_broad and not any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))


def test_a_broad_except_stands_only_at_the_edges_of_request_loop_and_command():
    edges = {"web/edge.py", "workers_child.py", "store/recorder.py", "cli.py", "housekeeping.py"}
    broad = {
        path.relative_to(SOURCE).as_posix()
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and swallows(node)
    }
    assert broad <= edges


def test_a_radius_has_one_home():
    homes = []
    for path in sources():
        tree = ast.parse(path.read_text())
        shifts = {id(node.right) for node in ast.walk(tree) if isinstance(node, ast.BinOp)}
        constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) is int]
        homes += [path.name for node in constants if node.value == 31 and id(node) not in shifts]
    assert homes == ["model.py"]


def test_no_file_is_a_heap_of_utilities():
    assert not [path for path in SOURCE.rglob("*.py") if path.stem in {"utils", "helpers", "common", "misc"}]
