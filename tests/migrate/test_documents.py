"""YAML of other makes: several documents, anchors, merge keys, and none of its traps."""

from __future__ import annotations

import pytest

from otelkit.spec.document import DocumentError, Mapping, Node, Scalar, Sequence, parse_all


def plain(node: Node) -> object:
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key.text: plain(value) for key, value in node.pairs}


def test_documents_are_read_one_by_one_and_empty_ones_skipped() -> None:
    assert [plain(n) for n in parse_all("---\n---\na: NO\n---\n# none\n---\n[b]\n")] == [
        {"a": "NO"},
        ["b"],
    ]


def test_an_alias_stands_for_its_value_and_keeps_the_place_of_the_original() -> None:
    (node,) = parse_all("a: &x {b: 1}\nc: *x\n")
    assert plain(node) == {"a": {"b": "1"}, "c": {"b": "1"}}
    assert isinstance(node, Mapping)
    assert node.pairs[1][1].mark.line == 1


def test_a_merge_key_brings_in_what_the_mapping_does_not_say_itself() -> None:
    (node,) = parse_all("a: &x {b: 1, c: 1}\nd: &y {c: 2, e: 2}\nf: {<<: [*x, *y], b: 3}\n")
    assert isinstance(node, Mapping)
    assert plain(node.pairs[2][1]) == {"b": "3", "c": "1", "e": "2"}


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: *x\n", "1:4: no value above is called &x; write the value out"),
        ("a: &x [*x]\n", "1:8: no value above is called &x; write the value out"),
        ("--- &x a\n--- *x\n", "2:5: no value above is called &x; write the value out"),
        ("a: 1\n<<: b\n", "2:1: << merges mappings only; write the keys out"),
        ("a: [1\n", "2:1: this is not YAML: did not find expected ',' or ']'"),
        (BOMB, "6:10: aliases make more than 200000 values of this file; write it flatter"),
    ],
)
def test_what_cannot_be_read_is_told_in_its_place(text: str, said: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_all(text)
    assert f"{caught.value.mark.line}:{caught.value.mark.column}: {caught.value}" == said
