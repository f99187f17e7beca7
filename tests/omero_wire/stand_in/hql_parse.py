"""Hibernate's query language, as far as it is understood here, from text into a tree; anything else is an error.

The grammar follows Hibernate 3's `hql.g` (the version in omero-server) for one statement: select, from with joins and
fetches, where, group by, order by, and subqueries.
"""

import re
from typing import Any

from .hql_tree import Call, Case, From, HqlError, Literal, Param, Path, Query

TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)[lLdDfF]?\b|:(?P<param>\w+)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign><=|>=|!=|<>|\|\||[=<>(),.+*/-]))"
)
RESERVED = frozenset(
    (
        *("select", "distinct", "new", "from", "left", "right", "inner", "outer", "join", "fetch", "with", "as", "on"),
        *("where", "and", "or", "not", "in", "is", "null", "like", "between", "exists", "member", "of"),
        *("case", "when", "then", "else", "end", "group", "by", "having", "order", "asc", "desc"),
    )
)
AGGREGATES = frozenset(("count", "max", "min", "sum", "avg"))
FUNCTIONS = frozenset(("lower", "upper", "size", "coalesce", "concat", "str", "length", "abs", "trim", "index", "type"))


def parse(text: str) -> Query:
    """Return the tree of a query.

    Raises
    ------
    HqlError
        It is none that is understood here; the message has the text from there on.
    """
    parser = _Parser(text)
    query = parser.query()
    parser.must_end()
    query.params = frozenset(value for kind, value, _ in parser.tokens if kind == "param")
    return query


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        at = 0
        while text[at:].strip():
            found = TOKEN.match(text, at)
            if found is None:
                raise HqlError(f"not understood from here on: {text[at:].strip()!r} (in {text!r})")
            kind = str(found.lastgroup)
            self.tokens.append((kind, found.group(kind), found.start(kind)))
            at = found.end()
        self.at = 0
        self.anonymous = 0

    # -- tokens ---------------------------------------------------------------------------------------------------

    def word(self, *words: str) -> str | None:
        """Take the next token if it is one of these words or signs."""
        if self.at < len(self.tokens):
            kind, value, _ = self.tokens[self.at]
            if kind in ("name", "sign") and value.lower() in words:
                self.at += 1
                return value.lower()
        return None

    def phrase(self, *words: str) -> bool:
        """Take these words if they follow one another here."""
        start = self.at
        for word in words:
            if self.word(word) is None:
                self.at = start
                return False
        return True

    def expect(self, *words: str) -> None:
        if self.word(*words) is None:
            self.fail(" or ".join(words))

    def fail(self, wanted: str) -> Any:
        rest = self.text[self.tokens[self.at][2] :] if self.at < len(self.tokens) else "the end"
        raise HqlError(f"expected {wanted}, found {rest!r} (in {self.text!r})")

    def must_end(self) -> None:
        if self.at < len(self.tokens):
            self.fail("the end")

    def name(self, also_reserved: bool = False) -> str | None:
        if self.at < len(self.tokens):
            kind, value, _ = self.tokens[self.at]
            if kind == "name" and (also_reserved or value.lower() not in RESERVED):
                self.at += 1
                return value
        return None

    def path(self) -> tuple[str, ...]:
        first = self.name()
        if first is None:
            self.fail("a name")
        names = [str(first)]
        while self.word("."):
            names.append(self.name(also_reserved=True) or self.fail("the name of a field"))
        return tuple(names)

    # -- statement ------------------------------------------------------------------------------------------------

    def query(self) -> Query:
        query = Query()
        if self.word("select"):
            query.distinct = self.word("distinct") is not None
            query.as_map = self.phrase("new", "map", "(")
            query.select = self.selected()
            if query.as_map:
                self.expect(")")
        self.expect("from")
        query.sources = self.from_clause()
        if self.word("where"):
            query.where = self.condition()
        if self.phrase("group", "by"):
            query.group = self.several(self.value)
            if self.word("having"):
                query.having = self.condition()
        if self.phrase("order", "by"):
            query.order = self.several(self.ordering)
        return query

    def several(self, one: Any) -> list[Any]:
        found = [one()]
        while self.word(","):
            found.append(one())
        return found

    def selected(self) -> list[tuple[Any, str]]:
        def one() -> tuple[Any, str]:
            value = self.value()
            return value, (self.name() or self.fail("an alias")) if self.word("as") else (self.name() or "")

        return self.several(one)

    def ordering(self) -> tuple[Any, bool]:
        value = self.value()
        return value, self.word("asc", "desc") == "desc"

    def alias(self) -> str:
        explicit = self.word("as")
        name = self.name()
        if name is None:
            if explicit:
                self.fail("an alias")
            self.anonymous += 1
            return f"#{self.anonymous}"
        return name

    def from_clause(self) -> list[From]:
        sources = [From(self.path(), self.alias(), joined=False)]
        while True:
            if self.word(","):
                sources.append(From(self.path(), self.alias(), joined=False))
                continue
            join = self.join()
            if join is None:
                return sources
            sources.append(join)

    def join(self) -> From | None:
        left = self.word("left") is not None
        if left:
            self.word("outer")
        else:
            inner = self.word("inner")
        if not self.word("join"):
            if left or inner:
                self.fail("join")
            return None
        fetch = self.word("fetch") is not None
        path, alias = self.path(), self.alias()
        condition = self.condition() if self.word("with") else None
        return From(path, alias, left, fetch, condition)

    # -- conditions -----------------------------------------------------------------------------------------------

    def condition(self) -> Any:
        value = self.conjunction()
        while self.word("or"):
            value = Call("or", (value, self.conjunction()))
        return value

    def conjunction(self) -> Any:
        value = self.negation()
        while self.word("and"):
            value = Call("and", (value, self.negation()))
        return value

    def negation(self) -> Any:
        if self.word("not"):
            return Call("not", (self.negation(),))
        return self.predicate()

    def predicate(self) -> Any:
        if self.word("exists"):
            self.expect("(")
            found = Call("exists", (self.query(),))
            self.expect(")")
            return found
        value = self.value()
        sign = self.word("=", "!=", "<>", "<=", ">=", "<", ">")
        if sign:
            return Call("!=" if sign == "<>" else sign, (value, self.value()))
        if self.word("is"):
            negated = self.word("not") is not None
            what = self.word("null", "empty")
            if what is None:
                self.fail("null or empty")
            found = Call(f"is {what}", (value,))
            return Call("not", (found,)) if negated else found
        negated = self.word("not") is not None
        if self.word("in"):
            found = Call("in", (value, self.members()))
        elif self.word("like"):
            found = Call("like", (value, self.value()))
        elif self.word("between"):
            low = self.value()
            self.expect("and")
            found = Call("and", (Call(">=", (value, low)), Call("<=", (value, self.value()))))
        elif negated:
            return self.fail("in, like or between")
        else:
            return value
        return Call("not", (found,)) if negated else found

    def members(self) -> Any:
        if not self.word("("):
            return self.value()
        if self.at < len(self.tokens) and self.tokens[self.at][1].lower() in ("select", "from"):
            found: Any = self.query()
        else:
            found = tuple(self.several(self.value))
        self.expect(")")
        return found

    # -- values ---------------------------------------------------------------------------------------------------

    def value(self) -> Any:
        value = self.term()
        while sign := self.word("+", "-", "||"):
            value = Call(sign, (value, self.term()))
        return value

    def term(self) -> Any:
        value = self.factor()
        while sign := self.word("*", "/"):
            value = Call(sign, (value, self.factor()))
        return value

    def factor(self) -> Any:
        if self.word("-"):
            return Call("-", (Literal(0), self.factor()))
        if self.word("("):
            if self.at < len(self.tokens) and self.tokens[self.at][1].lower() == "select":
                value: Any = self.query()
            else:
                value = self.condition()
            self.expect(")")
            return value
        if self.word("case"):
            return self.case()
        if self.at == len(self.tokens):
            self.fail("a value")
        kind, text, _ = self.tokens[self.at]
        if kind in ("string", "number", "param"):
            self.at += 1
            if kind == "param":
                return Param(text)
            return Literal(
                text[1:-1].replace("''", "'") if kind == "string" else float(text) if "." in text else int(text)
            )
        if self.word("true", "false"):
            return Literal(text.lower() == "true")
        if self.word("null"):
            return Literal(None)
        names = self.path()
        if len(names) == 1 and self.word("("):
            return self.call(names[0].lower())
        return Path(names)

    def call(self, name: str) -> Call:
        if name not in AGGREGATES | FUNCTIONS:
            self.fail(f"a function that is known ({name} is not)")
        distinct = self.word("distinct") is not None
        args = (Literal(1),) if self.word("*") else tuple(self.several(self.value))
        self.expect(")")
        return Call(name, args, distinct)

    def case(self) -> Case:
        branches = []
        while self.word("when"):
            when = self.condition()
            self.expect("then")
            branches.append((when, self.value()))
        otherwise = self.value() if self.word("else") else Literal(None)
        self.expect("end")
        return Case(tuple(branches), otherwise)
