"""functrans.tree and tree_util: containers, paths, user nodes, and their way through transformations."""

from __future__ import annotations

import dataclasses
import importlib
from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import numpy as np
import optree
import pytest
from hypothesis import given
from hypothesis import strategies as st

import functrans as ft
from functrans import tree, tree_util

Pair = namedtuple("Pair", ["left", "right"])


@dataclasses.dataclass
class Layer:
    w: Any
    b: Any
    name: str = "layer"


tree_util.register_dataclass(Layer, data_fields=("w", "b"), meta_fields=("name",))


@tree_util.register_pytree_node_class
class Interval:
    """A user's node, by methods."""

    def __init__(self, low: Any, high: Any, unit: str = "m"):
        self.low, self.high, self.unit = low, high, unit

    def tree_flatten(self) -> Any:
        return (self.low, self.high), self.unit

    @classmethod
    def tree_unflatten(cls, unit: str, children: Any) -> Interval:
        return cls(*children, unit)


@tree_util.register_pytree_with_keys_class
class Ring:
    """A user's node, with names of its own."""

    def __init__(self, inner: Any, outer: Any):
        self.inner, self.outer = inner, outer

    def tree_flatten_with_keys(self) -> Any:
        return ((tree_util.GetAttrKey("inner"), self.inner), (tree_util.GetAttrKey("outer"), self.outer)), None

    @classmethod
    def tree_unflatten(cls, metadata: None, children: Any) -> Ring:
        return cls(*children)


class Bag:
    """A user's node, by functions."""

    def __init__(self, items: Any):
        self.items = items


tree_util.register_pytree_node(Bag, lambda bag: (bag.items, None), lambda _, items: Bag(list(items)))

TREES = {
    "leaf": (1.0, [1.0]),
    "none": (None, []),
    "list": ([1, [2, ()], (3,)], [1, 2, 3]),
    "dict": ({"b": 1, "a": 2}, [2, 1]),
    "ordered dict": (OrderedDict(b=1, a=2), [1, 2]),
    "default dict": (defaultdict(int, b=1, a=2), [2, 1]),
    "deque": (deque([1, 2]), [1, 2]),
    "named tuple": (Pair(1, Pair(2, 3)), [1, 2, 3]),
    "dataclass": (Layer(1, {"x": 2}), [1, 2]),
    "class": (Interval(1, 2), [1, 2]),
    "class with names": (Ring(1, [2]), [1, 2]),
    "functions": (Bag([1, 2, 3]), [1, 2, 3]),
    "none inside": ((1, None, [None, 2]), [1, 2]),
}
each_tree = pytest.mark.parametrize("name", TREES)


@each_tree
def test_flatten_and_unflatten(name: str):
    x, wanted = TREES[name]
    leaves, structure = tree.flatten(x)
    assert leaves == wanted == tree.leaves(x)
    back = tree.unflatten(structure, leaves)
    assert type(back) is type(x)
    assert tree.leaves(back) == leaves
    assert tree.structure(back) == structure == tree.structure(x)


@each_tree
def test_map_keeps_the_structure(name: str):
    x, wanted = TREES[name]
    doubled = tree.map(lambda a: 2 * a, x)
    assert tree.leaves(doubled) == [2 * a for a in wanted]
    assert tree.structure(doubled) == tree.structure(x)
    assert tree.leaves(tree.map(lambda a, b: a + b, x, doubled)) == [3 * a for a in wanted]


@each_tree
def test_every_container_goes_through_every_transformation(name: str):
    x, wanted = TREES[name]
    x = tree.map(float, x)
    f = lambda p: sum((a * a for a in tree.leaves(p)), 0.0) + 0.0  # noqa: E731
    squares = sum(a * a for a in wanted)
    for gradient in (ft.grad(f)(x), ft.jit(ft.grad(f))(x), ft.grad(ft.jit(f))(x), ft.grad(ft.checkpoint(f))(x)):
        assert tree.structure(gradient) == tree.structure(x)
        assert tree.leaves(gradient) == [2 * a for a in wanted]
    assert ft.jit(f)(x) == squares
    assert ft.jvp(f, (x,), (x,))[1] == 2 * squares
    assert tree.structure(ft.jit(lambda p: (p, p))(x)) == tree.structure((x, x))
    if wanted:
        lanes = tree.map(lambda a: np.array([a, 2 * a]), x)
        np.testing.assert_array_equal(ft.vmap(f)(lanes), [squares, 4 * squares])
        assert tree.structure(ft.vmap(lambda p: p)(lanes)) == tree.structure(x)


def test_metadata_is_part_of_the_structure():
    assert tree.structure(Layer(1, 2, "a")) != tree.structure(Layer(1, 2, "b"))
    assert tree.structure(Interval(1, 2, "m")) != tree.structure(Interval(1, 2, "s"))
    runs = []
    f = ft.jit(lambda layer: runs.append(layer.name) or layer.w)
    for name in ("a", "b", "a"):
        f(Layer(1.0, 2.0, name))
    assert runs == ["a", "b"]
    assert ft.grad(lambda i: i.high**2 * len(i.unit))(Interval(1.0, 3.0, "km")).high == 12.0


def test_is_leaf():
    x = {"a": (1, 2), "b": [3]}
    assert tree.leaves(x, is_leaf=lambda v: isinstance(v, tuple)) == [(1, 2), 3]
    assert tree.map(len, x, is_leaf=lambda v: isinstance(v, (tuple, list))) == {"a": 2, "b": 1}
    assert tree.leaves((1, None), is_leaf=lambda v: v is None) == [1, None]


def test_structures_that_differ():
    with pytest.raises(ValueError, match="a"):
        tree.map(lambda a, b: a, {"a": 1}, {"b": 1})
    with pytest.raises((ValueError, TypeError)):
        tree.unflatten(tree.structure((1, 2)), [1])


def test_flatten_prefix():
    full = {"a": (1, 2), "b": [3, {"c": 4}]}
    assert tree.flatten_prefix(0, full) == [0, 0, 0, 0]
    assert tree.flatten_prefix({"a": 1, "b": None}, full) == [1, 1, None, None]
    assert tree.flatten_prefix({"a": (1, None), "b": [2, 3]}, full) == [1, None, 2, 3]
    with pytest.raises(ValueError):
        tree.flatten_prefix({"a": 1}, full)
    with pytest.raises(ValueError):
        tree.flatten_prefix({"a": (1, 2, 3), "b": 0}, full)


def test_paths():
    x = {"a": (1.0, Pair(2.0, 3.0))}
    paths = [path for path, _ in tree_util.tree_flatten_with_path(x)[0]]
    assert paths == [path for path, _ in tree_util.tree_leaves_with_path(x)]
    assert [leaf for _, leaf in tree_util.tree_leaves_with_path(x)] == [1.0, 2.0, 3.0]
    assert paths[0] == (tree_util.DictKey("a"), tree_util.SequenceKey(0))
    assert len(set(paths)) == 3
    assert list(map(tree_util.keystr, paths)) == ["['a'][0]", "['a'][1].left", "['a'][1].right"]
    shown = tree_util.tree_map_with_path(lambda path, leaf: f"{tree_util.keystr(path[:1])}={leaf}", x)
    assert shown["a"][0] == "['a']=1.0"


def at_path(x: Any, path: Any) -> Any:
    for key in path:
        match key:
            case tree_util.DictKey(k) | tree_util.SequenceKey(k):
                x = x[k]
            case tree_util.GetAttrKey(name):
                x = getattr(x, name)
            case tree_util.FlattenedIndexKey(k):
                x = (x.low, x.high)[k] if isinstance(x, Interval) else x.items[k]
    return x


@each_tree
def test_paths_lead_to_their_leaves(name: str):
    x, wanted = TREES[name]
    found = tree.leaves_with_path({"x": [x]})
    assert [leaf for _, leaf in found] == wanted
    assert [at_path({"x": [x]}, path) for path, _ in found] == wanted
    for path, _ in found:
        assert tree_util.keystr(path).startswith("['x'][0]")
        assert tree_util.keystr(path, simple=True, separator="/").startswith("x/0")


def test_fields_that_are_no_leaves():
    @tree_util.register_dataclass
    @dataclasses.dataclass
    class Step:
        x: Any
        n: int = tree.static(default=2)
        seen: int = 0

    assert tree.leaves(Step(1.0, 3, 5)) == [1.0, 5]
    assert ft.jit(ft.grad(lambda s: s.x**s.n))(Step(3.0, seen=4.0)) == Step(6.0, seen=0.0)
    assert tree.structure(Step(1.0)) != tree.structure(Step(1.0, 3))

    @dataclasses.dataclass
    class Cached:
        x: Any
        seen: int = 0

    tree_util.register_dataclass(Cached, drop_fields=("seen",))
    assert tree.map(lambda v: 2 * v, Cached(1.0, 5)) == Cached(2.0, 0)


@each_tree
def test_static_containers_have_no_leaves(name: str):
    @tree_util.register_static
    @dataclasses.dataclass(frozen=True)
    class Static:
        value: str

    leaves, structure = tree.flatten((Static(name), TREES[name][0]))
    assert leaves == TREES[name][1]
    assert tree.unflatten(structure, leaves)[0] == Static(name)
    assert structure != tree.structure((Static("other"), TREES[name][0]))


@each_tree
def test_structures_of_children(name: str):
    x, _ = TREES[name]
    whole = tree.structure((x, 1))
    assert tree_util.treedef_children(whole) == [tree.structure(x), tree.structure(1)]
    assert tree_util.treedef_tuple(tree_util.treedef_children(whole)) == whole
    assert tree_util.treedef_is_leaf(tree.structure(1))
    assert not tree_util.treedef_is_leaf(whole)


def test_broadcast_prefix():
    full = {"a": (1, Pair(2, 3)), "b": [4, {"c": 5}]}
    assert tree.broadcast(0, full) == tree.map(lambda _: 0, full)
    assert tree.broadcast({"a": "x", "b": [8, "y"]}, full) == {"a": ("x", Pair("x", "x")), "b": [8, {"c": "y"}]}
    assert tree.leaves(tree.broadcast({"a": (1, 2), "b": 3}, full)) == [1, 2, 2, 3, 3]
    with pytest.raises(ValueError):
        tree.broadcast({"a": 1}, full)


@given(st.lists(st.integers()), st.none() | st.integers())
def test_associative_reductions_are_reductions(values: list[int], identity: int | None):
    if not values and identity is None:
        with pytest.raises(TypeError):
            tree.reduce_associative(lambda a, b: a + b, values)
        return
    options = {} if identity is None else {"identity": identity}
    joined = tree.reduce_associative(lambda a, b: a + b, [[(v,)] for v in values], is_leaf=is_tuple, **options)
    assert joined == (tuple(values) if values else identity)


def is_tuple(x: Any) -> bool:
    return isinstance(x, tuple)


def test_partial_functions_are_containers_of_their_arguments():
    f = tree_util.Partial(lambda a, x, b: a * x + b, 3.0, b=np.array([1.0, 2.0]))
    assert len(tree.leaves(f)) == 2
    doubled = tree.map(lambda leaf: 2 * leaf, f)
    np.testing.assert_array_equal(doubled(10.0), 2 * f(10.0))
    np.testing.assert_array_equal(f(10.0, b=0.0), 30.0)  # as functools.partial, what is given later counts
    slope = ft.jit(ft.grad(lambda f: np.sum(f(10.0))))(f)
    assert (slope.args, slope.function) == ((20.0,), f.function)
    np.testing.assert_array_equal(slope.kwargs["b"], [1.0, 1.0])


def test_all_leaves():
    assert tree_util.all_leaves([1.0, "a", np.zeros(2)])
    assert not tree_util.all_leaves([1.0, None])
    assert tree_util.all_leaves([(1, 2)], is_leaf=is_tuple)


def test_reductions():
    assert tree_util.tree_reduce(lambda a, b: a + b, {"a": 1, "b": (2, 3)}) == 6
    assert tree_util.tree_reduce(lambda a, b: a + b, (), 5) == 5
    assert tree_util.tree_all({"a": True, "b": [1]})
    assert not tree_util.tree_all((True, 0))


def test_reductions_of_leaves_as_told():
    is_pair = lambda x: isinstance(x, tuple)  # noqa: E731
    assert tree.reduce(lambda total, x: total + len(x), [(1, 2), (3,)], 0, is_leaf=is_pair) == 3
    assert tree.all([(0,), (0, 0)], is_leaf=is_pair)
    assert not tree.all([(), (0, 0)], is_leaf=is_pair)


def test_transpose():
    x = [Layer(1, {"c": 2}), Layer(3, {"c": 4})]
    inner, outer = tree.structure(x[0]), tree.structure([0, 0])
    for turned in (tree.transpose(outer, inner, x), tree.transpose(outer, None, x)):
        assert turned == Layer([1, 3], {"c": [2, 4]})
        assert tree.transpose(inner, outer, turned) == x
    assert tree_util.tree_transpose is tree.transpose
    with pytest.raises(ValueError):
        tree.transpose(tree.structure([0, 0, 0]), inner, x)


def test_paths_of_leaves_as_told():
    x = {"a": (1, 2), "b": [3]}
    a, b = (tree_util.DictKey("a"),), (tree_util.DictKey("b"), tree_util.SequenceKey(0))
    is_pair = lambda v: isinstance(v, tuple)  # noqa: E731
    assert tree.leaves_with_path(x, is_leaf=is_pair) == [(a, (1, 2)), (b, 3)]
    assert tree.flatten_with_path(x, is_pair)[1] == tree.structure(x, is_pair)
    assert tree.map_with_path(lambda path, v, w: (path, v, w), x, x, is_leaf=is_pair)["b"] == [(b, 3, 3)]


def test_names_of_jax():
    x = {"b": 1, "a": (2,)}
    assert tree_util.tree_leaves(x) == tree.leaves(x)
    assert tree_util.tree_map(lambda a: -a, x) == {"b": -1, "a": (-2,)}
    leaves, structure = tree_util.tree_flatten(x)
    assert tree_util.tree_unflatten(structure, leaves) == x
    assert tree_util.tree_structure(x) == structure


def test_registration_is_private_to_functrans():
    """Other users of optree do not see our nodes."""
    assert optree.tree_leaves(Interval(1, 2)) != [1, 2]


@pytest.mark.parametrize("transformed", [
    lambda f, p: ft.jvp(f, (p,), (p,)), lambda f, p: ft.vjp(f, p)[1](f(p)), lambda f, p: ft.linearize(f, p)[1](p),
    lambda f, p: ft.vmap(f)(p), lambda f, p: ft.grad(lambda q: sum(np.sum(x) for x in f(q)))(p),
])  # fmt: skip
def test_leaves_are_named_for_messages_only(monkeypatch: pytest.MonkeyPatch, transformed: Any) -> None:
    """To find out where a leaf stands takes as long as there are leaves."""

    def asked(*_: Any) -> str:
        raise AssertionError("nobody needs a name")

    for module in ("functrans.api.grad", "functrans.api.vmap"):
        monkeypatch.setattr(importlib.import_module(module), "describe_leaf", asked)
    transformed(lambda p: [np.sin(x) for x in p], [np.ones(2)] * 3)


@pytest.mark.parametrize(("prefix", "wanted"), [
    (0, [0, 0, 0]), (-1, [-1, -1, -1]), (None, [None] * 3), ((0, None), [0, None, None]), ((None, [1, 2]), [None, 1, 2]),
    (True, [True] * 3),
])  # fmt: skip
def test_one_leaf_of_a_prefix_for_each_leaf(prefix: Any, wanted: list[Any]) -> None:
    assert tree.flatten_prefix(prefix, ("x", ["y", ("z",)])) == wanted


@pytest.mark.parametrize("prefix", [([0, 1], 1), (1, [2]), {"a": 1}])
def test_what_is_no_prefix(prefix: Any) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        tree.flatten_prefix(prefix, ("x", ["y", ("z",)]))
