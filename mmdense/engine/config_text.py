"""The config in a checkpoint: the text of a Python program, read without running it."""
from __future__ import annotations

import ast
from typing import Any

from mmengine.config import Config


class Unread(str):
    """Source text of a value that is no literal, such as the name of a class."""


def _value(node: ast.expr) -> Any:
    """Return the value of a literal or of ``dict(…)`` calls; the text of a name.

    Raises:
        ValueError: anything that would have to be run.
    """
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(value)
                for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        number = _value(node.operand)
        if isinstance(number, (int, float)):
            return -number if isinstance(node.op, ast.USub) else number
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' \
            and all(keyword.arg for keyword in node.keywords) \
            and all(isinstance(part, ast.Dict) for part in node.args[:1]) and not node.args[1:]:
        # keys that are no names stand in braces inside
        return {key: value for part in node.args for key, value in _value(part).items()} \
            | {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return float(node.id)
    names = node
    while isinstance(names, ast.Attribute):
        names = names.value
    if isinstance(names, ast.Name):
        return Unread(ast.unparse(node))
    raise ValueError(f'line {node.lineno}: {ast.unparse(node)[:60]} is no literal')


def read_config_text(text: str) -> dict[str, Any]:
    """Return the settings of a config's text, as mmengine writes it; nothing of it is run.

    Tuples come as lists, names of classes as :class:`Unread`.

    Raises:
        ValueError: it holds something else than settings: calls, imports, computations.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, RecursionError) as error:
        raise ValueError(f'no Python text: {error}') from None
    found = {}
    for node in statements:
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1
                and isinstance(node.targets[0], ast.Name)):
            raise ValueError(f'line {node.lineno}: {ast.unparse(node)[:60]} sets nothing')
        found[node.targets[0].id] = _value(node.value)
    return found


def plain(value: Any) -> Any:
    """Return a config, or a value of one, as :func:`read_config_text` returns it."""
    if isinstance(value, (dict, Config)):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, type):
        where = '' if value.__module__ == 'builtins' else f'{value.__module__}.'
        return Unread(f'{where}{value.__name__}')
    if isinstance(value, (str, int, float, bool, bytes)) or value is None:
        return value
    return Unread(value)
