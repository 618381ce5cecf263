"""Order: what is computed element by element has its axes in the order in which products of matrices want them.

BLAS multiplies one matrix of a batch after the other, and reads well what lies together. Where a batch axis is not the
first one, `x[:, None, :] - means` multiplied component by component, the rows of each matrix are as far from each other
as all components together, and the kernels before and after the product go through the batch in each row. So arrays
that elementwise functions make have the axes of the batch first, if products read or made them, and if fewer others
read them, or are read with them, in the order that the program has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from ...core.jaxpr import Atom, Eqn, Jaxpr, Var
from ...primitives.contractions import dot_general
from ...primitives.families import Reduction
from ...primitives.foundation import broadcast_to, reduce_sum, reshape
from ...primitives.structural import transpose
from .rewriting import Rewriter, Rules

Order = tuple[int, ...]


def batch_first(jaxpr: Jaxpr, rules: Rules, nested: Callable[[Jaxpr], Jaxpr], mark: Callable[[Jaxpr], Jaxpr]) -> Jaxpr:
    """The same program with the axes of some arrays in another order.

    Args:
        rules, nested, mark: as for `rewrite`.
    """
    if not any(eqn.primitive is dot_general and eqn.params["dimension_numbers"][1][0] for eqn in jaxpr.eqns):
        return jaxpr
    orders = _Fields(jaxpr).orders()
    if not orders:
        return jaxpr
    rewriter = Rewriter(rules, nested, mark)
    results = _Reordering(rewriter, orders).run(jaxpr)
    return Jaxpr(jaxpr.inputs, rewriter.eqns, results)


def _is_alike(eqn: Eqn) -> bool:
    """Whether an equation computes an array of at least three axes element by element."""
    if len(eqn.outputs) != 1 or not (eqn.primitive.is_pointwise or eqn.primitive is broadcast_to):
        return False
    return len(getattr(eqn.outputs[0].aval, "shape", ())) >= 3


def _is_reduction(eqn: Eqn) -> bool:
    primitive = eqn.primitive
    return primitive is reduce_sum or (isinstance(primitive, Reduction) and primitive.combine is not None)


def _with_first(first: Sequence[int], rank: int) -> Order:
    """All axes, some of them first."""
    return (*first, *(axis for axis in range(rank) if axis not in first))


class _Fields:
    """Arrays of one shape that elementwise functions make of each other, in groups whose axes have one order.

    Attributes:
        parents: of the arrays in a group one that stands for all, by way of others.
        votes: for the one that stands for a group, which orders products want, and how many of them.
        against: how many equations and results want the order that the program has.
    """

    def __init__(self, jaxpr: Jaxpr) -> None:
        self.parents: dict[Atom, Atom] = {}
        self.votes: dict[Atom, Counter[Order]] = {}
        self.against: Counter[Atom] = Counter()
        self.made: dict[Atom, Eqn] = {v: eqn for eqn in jaxpr.eqns for v in eqn.outputs}
        for eqn in filter(_is_alike, jaxpr.eqns):
            self.add(eqn)
        asked: set[tuple[Atom, Atom]] = set()
        for eqn in jaxpr.eqns:
            if eqn.primitive is dot_general:
                self.vote(eqn)
            for atom in eqn.inputs:
                if atom in self.parents and not (_is_alike(eqn) or _is_reduction(eqn) or eqn.primitive is dot_general):
                    self.against[self.group(atom)] += 1
                elif _is_alike(eqn) and self.is_given(eqn, atom):
                    group = self.group(eqn.outputs[0])
                    if (group, atom) not in asked:
                        asked.add((group, atom))
                        self.ask(group, atom)
        for atom in jaxpr.outputs:
            if atom in self.parents:
                self.against[self.group(atom)] += 1

    def add(self, eqn: Eqn) -> None:
        """An array, which belongs to the groups of those of its shape that it is made of."""
        (out,) = eqn.outputs
        self.parents[out] = out
        for atom in eqn.inputs:
            if atom in self.parents and atom.aval.shape == out.aval.shape:
                self.parents[self.group(atom)] = self.group(out)

    def group(self, atom: Atom) -> Atom:
        """The array that stands for a group."""
        while self.parents[atom] is not atom:
            self.parents[atom] = self.parents[self.parents[atom]]
            atom = self.parents[atom]
        return atom

    def vote(self, eqn: Eqn) -> None:
        """A product wants the axes of the batch first."""
        for atom, batch in zip(eqn.inputs, eqn.params["dimension_numbers"][1]):
            if atom in self.parents and batch:
                votes = self.votes.setdefault(self.group(atom), Counter())
                votes[_with_first(batch, atom.aval.ndim)] += 1

    def is_given(self, eqn: Eqn, atom: Atom) -> bool:
        """Whether an operand has the shape of the result, and belongs to no group."""
        return type(atom) is Var and atom not in self.parents and atom.aval.shape == eqn.outputs[0].aval.shape

    def ask(self, group: Atom, atom: Atom) -> None:
        """What is read with a group votes for its own order; for that of the batch, if it is a product's result."""
        maker, rank = self.made.get(atom), atom.aval.ndim
        order = tuple(range(rank))
        if maker is not None and maker.primitive is transpose:
            order, maker = maker.params["permutation"], self.made.get(maker.inputs[0])
        batch = () if maker is None or maker.primitive is not dot_general else maker.params["dimension_numbers"][1][0]
        if batch:
            first = [order.index(axis) for axis in range(len(batch))]
            self.votes.setdefault(group, Counter())[_with_first(first, rank)] += 1
        else:
            self.against[group] += 1

    def orders(self) -> dict[Atom, Order]:
        """The arrays whose axes should have another order, and which: the only one that products want."""
        chosen: dict[Atom, Order] = {}
        for group, votes in self.votes.items():
            (order, count), *others = votes.most_common()
            if not others and order != tuple(range(len(order))) and count > self.against[group]:
                chosen[group] = order
        return {atom: chosen[self.group(atom)] for atom in self.parents if self.group(atom) in chosen}


class _Reordering:
    """Writes a program anew.

    Attributes:
        orders: the arrays whose axes change places, and the axes in their new order.
        moved: these arrays as they are written now.
        env: what stands for variables of the program, in the order that they have there.
    """

    def __init__(self, rewriter: Rewriter, orders: Mapping[Atom, Order]) -> None:
        self.rewriter = rewriter
        self.orders = orders
        self.moved: dict[Atom, Atom] = {}
        self.env: dict[Atom, Atom] = {}

    def run(self, jaxpr: Jaxpr) -> list[Atom]:
        for eqn in jaxpr.eqns:
            self.rewriter.source = eqn.source
            if eqn.outputs and eqn.outputs[0] in self.orders:
                self.elementwise(eqn)
            elif eqn.primitive is dot_general and any(a in self.moved for a in eqn.inputs):
                self.product(eqn)
            elif _is_reduction(eqn) and eqn.inputs[0] in self.moved:
                self.reduction(eqn)
            else:
                inputs = [self.as_it_was(a) for a in eqn.inputs]
                self.env.update(zip(eqn.outputs, self.rewriter.apply(eqn._replace(inputs=inputs))))
        return [self.as_it_was(a) for a in jaxpr.outputs]

    def as_it_was(self, atom: Atom) -> Atom:
        """An atom with its axes in the order of the program."""
        if atom in self.moved and atom not in self.env:
            order = self.orders[atom]
            back = tuple(order.index(axis) for axis in range(len(order)))
            self.env[atom] = self.rewriter.emit(transpose, self.moved[atom], permutation=back)
        return self.env.get(atom, atom)

    def elementwise(self, eqn: Eqn) -> None:
        """What is computed element by element, of operands in the new order."""
        (out,) = eqn.outputs
        order = self.orders[out]
        inputs, params = [self.in_order(a, order) for a in eqn.inputs], eqn.params
        if eqn.primitive is broadcast_to:
            params = {**params, "shape": tuple(out.aval.shape[axis] for axis in order)}
        self.moved[out] = self.rewriter.emit(eqn.primitive, *inputs, **params)

    def in_order(self, atom: Atom, order: Order) -> Atom:
        """An operand of what has a new order, which may have fewer axes, or axes of extent one."""
        if self.orders.get(atom) == order:
            return self.moved[atom]
        shape = atom.aval.shape
        if not shape:
            return self.as_it_was(atom)
        made = self.turned_product(atom, order)
        if made is not None:
            return made
        found = self.as_it_was(atom)
        if len(shape) < len(order):
            found = self.rewriter.emit(reshape, found, shape=(1,) * (len(order) - len(shape)) + shape)
        return self.rewriter.emit(transpose, found, permutation=order)

    def turned_product(self, atom: Atom, order: Order) -> Atom | None:
        """A product with its operands in the order for which it need not be transposed, whoever else reads it as it
        was; None if that is no such product."""
        rewriter = self.rewriter
        eqn = rewriter.definition(self.env.get(atom, atom), "transpose")
        permutation = tuple(range(len(order))) if eqn is None else eqn.params["permutation"]
        product = rewriter.definition(self.env.get(atom, atom) if eqn is None else eqn.inputs[0], "dot_general")
        if product is None or atom.aval.ndim != len(order):
            return None
        wanted = tuple(permutation[axis] for axis in order)
        (xc, yc), (xb, yb) = product.params["dimension_numbers"]
        x, y = product.inputs
        batch, x_free = len(xb), x.aval.ndim - len(xc) - len(xb)
        rest = range(batch, len(order))
        turned = (*range(batch), *rest[x_free:], *rest[:x_free])
        if wanted != turned or wanted == tuple(range(len(order))):
            return None
        return rewriter.emit(dot_general, y, x, dimension_numbers=((yc, xc), (yb, xb)))

    def product(self, eqn: Eqn) -> None:
        """A product says which axes it takes, wherever they are. Those that are left have another order, if the axes of
        the operand are not those of its own batch."""
        (xc, yc), (xb, yb) = eqn.params["dimension_numbers"]
        operands, numbers, back = [], [], list(range(len(xb)))
        for atom, groups in zip(eqn.inputs, ((xc, xb), (yc, yb))):
            order = self.orders[atom] if atom in self.moved else tuple(range(atom.aval.ndim))
            operands.append(self.moved[atom] if atom in self.moved else self.as_it_was(atom))
            numbers.append(tuple(tuple(map(order.index, axes)) for axes in groups))
            free = [axis for axis in order if not any(axis in axes for axes in groups)]
            back += [len(back) + free.index(axis) for axis in sorted(free)]
        (xc, xb), (yc, yb) = numbers
        result = self.rewriter.emit(dot_general, *operands, dimension_numbers=((xc, yc), (xb, yb)))
        self.env[eqn.outputs[0]] = self.rewriter.emit(transpose, result, permutation=tuple(back)) if back else result

    def reduction(self, eqn: Eqn) -> None:
        """Other axes are reduced, and those that are left have another order."""
        order, axes = self.orders[eqn.inputs[0]], eqn.params["axes"]
        kept = [axis for axis in order if axis not in axes]
        params = {**eqn.params, "axes": tuple(sorted(map(order.index, axes)))}
        result = self.rewriter.emit(eqn.primitive, self.moved[eqn.inputs[0]], **params)
        back = tuple(kept.index(axis) for axis in sorted(kept))
        self.env[eqn.outputs[0]] = self.rewriter.emit(transpose, result, permutation=back) if back else result
