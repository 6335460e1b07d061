"""Write docs/api.md from the docstrings of the public names: python scripts/write_api.py."""

import ast
import re
from importlib.util import find_spec, resolve_name
from inspect import getsource
from pathlib import Path
from typing import Final

import grammask

PAGE: Final = Path(__file__).parents[1] / "docs" / "api.md"
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Guide a model": (
        "attach",
        "attached",
        "detach",
        "from_pretrained",
        "load",
        "Annotator",
        "Collator",
        "Coverage",
        "SentenceModule",
        "extend_positions",
        "GrammaskError",
    ),
    "Write a grammar": ("load_grammar", "Grammar", "Rule", "Reach", "TAGS"),
    "Use the operator": ("grammar_attention", "make_plan", "explain_dispatch"),
    "Generate": ("GrammarCache",),
    "Annotate a corpus": ("BatchTagger", "BatchEmbedder"),
    "Look inside": ("explain", "to_bertviz"),
}
INTRODUCTION: Final = """# The public names

`scripts/write_api.py` makes this page from the docstrings. The examples run in the tests, after `import grammask` and
`import torch`. What the words mean is in [grammar.md](grammar.md) and [models.md](models.md).
"""
LISTS: Final = {"Args": "Arguments", "Attributes": "Attributes", "Raises": "Raises"}
_HEADING: Final = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example):$", re.MULTILINE)
_ITEM: Final = re.compile(r"^ {4}(\S+): ", re.MULTILINE)

Definition = ast.ClassDef | ast.FunctionDef


def find_definition(name: str) -> tuple[Definition | None, str]:
    """Return where a public name is defined, None for a constant, and its docstring."""
    spec = find_spec(resolve_name(grammask._HOMES[name], "grammask"))
    assert spec is not None and spec.origin is not None  # noqa: S101, PT018
    body = ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, Definition) and node.name == name:
            return node, ast.get_docstring(node) or ""
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:  # a string follows a constant
            return None, ast.get_docstring(ast.Module([after] if after else [], [])) or ""
    raise LookupError(f"{name} is not defined in {spec.origin}")


def read_sections(docstring: str) -> dict[str, str]:
    """Return the text of each section of a docstring, without its indent; what comes first is called ""."""
    first, *rest = _HEADING.split(docstring)
    return {"": first.strip(), **{name: text.strip("\n") for name, text in zip(rest[::2], rest[1::2], strict=True)}}


def read_items(section: str) -> dict[str, str]:
    """Return the names that a section explains, each with its explanation in one line."""
    _, *rest = _ITEM.split(section)
    return {name: " ".join(text.split()) for name, text in zip(rest[::2], rest[1::2], strict=True)}


def methods_of(name: str, node: Definition | None) -> list[ast.FunctionDef]:
    """Return the methods of a class that readers call, in order; of its bases those whose arguments are explained."""
    if not isinstance(node, ast.ClassDef):
        return []
    bases = [base for base in getattr(grammask, name).__mro__[1:] if base.__module__.startswith("grammask.")]
    inherited = [part for base in bases for part in ast.walk(ast.parse(getsource(base))) if _is_explained(part)]
    return [part for part in [*node.body, *inherited] if isinstance(part, ast.FunctionDef) and _is_public(part.name)]


def _is_explained(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and "Args" in read_sections(ast.get_docstring(node) or "")


def _is_public(name: str) -> bool:
    return name == "__call__" or not name.startswith("_")


def signature(node: Definition) -> str:
    """Return the call as it is written in the source, an argument a line where it is long."""
    parameters, returns = _parameters(node)
    end = f" -> {returns}" if returns else ""
    line = f"({', '.join(parameters)}){end}"
    return line if len(line) <= 90 else "(\n" + "".join(f"    {part},\n" for part in parameters) + f"){end}"


def _parameters(node: Definition) -> tuple[list[str], str]:
    if isinstance(node, ast.FunctionDef):
        return _arguments(node), _spell(node.returns)
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return _arguments(part), ""
    fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    return [_argument(ast.unparse(part.target), part.annotation, part.value) for part in fields], ""


def _arguments(node: ast.FunctionDef) -> list[str]:
    at = node.args
    given: list[ast.expr | None] = [*[None] * (len(at.args) - len(at.defaults)), *at.defaults]
    parameters = [
        _argument(argument.arg, argument.annotation, default)
        for argument, default in zip(at.args, given, strict=True)
        if argument.arg not in ("self", "cls")
    ]
    if at.kwonlyargs:
        parameters.append("*")
    parameters += [
        _argument(argument.arg, argument.annotation, default)
        for argument, default in zip(at.kwonlyargs, at.kw_defaults, strict=True)
    ]
    return parameters + ([_argument(f"**{at.kwarg.arg}", at.kwarg.annotation, None)] if at.kwarg else [])


def _argument(name: str, annotation: ast.expr | None, default: ast.expr | None) -> str:
    typed = f"{name}: {_spell(annotation)}" if annotation else name
    return typed if default is None else f"{typed} = {_spell(default)}"


def _spell(node: ast.expr | None) -> str:
    return "" if node is None else ast.unparse(node).replace("'", '"')


def render_name(name: str) -> str:
    """Return the entry of a public name, with its methods."""
    node, docstring = find_definition(name)
    parts = [f"### `{name}`", *_render(f"grammask.{name}", node, docstring, name)]
    plain = []
    for method in methods_of(name, node):
        written = ast.get_docstring(method) or ""
        if "Args" in read_sections(written):
            parts += [f"#### `{name}.{method.name}`", *_render(_call_of(name, method), method, written, name)]
        else:
            plain.append(f"- `{_short(name, method)}`: {_in_a_line(read_sections(written)[''], name)}")
    return "\n\n".join([*parts, *(["**Members**", "\n".join(plain)] if plain else [])])


def _call_of(name: str, method: ast.FunctionDef) -> str:
    instance = name if _is_of_class(method) else name.lower()
    return instance if method.name == "__call__" else f"{instance}.{method.name}"


def _is_of_class(method: ast.FunctionDef) -> bool:
    return "classmethod" in map(ast.unparse, method.decorator_list)


def _short(name: str, method: ast.FunctionDef) -> str:
    owner = name if _is_of_class(method) else name.lower()
    if "property" in map(ast.unparse, method.decorator_list):
        return f"{owner}.{method.name}"
    parameters = ", ".join(parameter.split(":")[0] for parameter in _arguments(method))
    return f"{owner}.{method.name}({parameters})"


def _render(call: str, node: Definition | None, docstring: str, name: str) -> list[str]:
    parts = [f"```python\n{call}{signature(node)}\n```"] if node and _parameters(node)[0] else []
    for heading, text in read_sections(docstring).items():
        if heading == "":
            parts += [_in_a_line(paragraph, name) for paragraph in text.split("\n\n")]
        elif heading == "Example":
            code = "\n".join(line.removeprefix("    ") for line in text.splitlines())
            parts.append(f"```pycon\n{code}\n```")
        elif heading in LISTS:
            items = "\n".join(f"- `{item}`: {_link(meaning, name)}" for item, meaning in read_items(text).items())
            parts += [f"**{LISTS[heading]}**", items]
        else:
            parts.append(f"**{heading}:** {_in_a_line(text, name)}")
    return parts


def _in_a_line(text: str, name: str) -> str:
    return _link(" ".join(text.split()), name)


def _link(text: str, here: str) -> str:
    """Let pages lead to themselves, and public names to their entries, but for the one that is described."""
    text = re.sub(r"docs/(\w+\.md)", r"[\1](\1)", text)
    names = "|".join(name for name in grammask.__all__ if name != here)
    return re.sub(rf"`({names})`", lambda found: f"[`{found[1]}`](#{found[1].lower()})", text)


def render() -> str:
    """Return the page."""
    parts = [INTRODUCTION.strip()]
    for group, names in GROUPS.items():
        links = ", ".join(_link(f"`{name}`", "") for name in names)
        parts += [f"## {group}", links, *(render_name(name) for name in names)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
