"""Redaction: secrets and personal data leave a process in no span, log line or record."""

from __future__ import annotations

import binascii
import operator
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from otelkit import names

REDACTED: Final = "[redacted]"

_SECRETS: Final = (
    "authorization", "cookie", "password", "passwd", "passphrase", "pwd", "secret", "token",
    "apikey", "accesskey", "privatekey", "secretkey", "credential", "credentials", "sessionid",
)  # fmt: skip
_PERSONAL: Final = (
    "email", "phone", "phonenumber", "mobile", "iban", "cardnumber", "creditcard", "cvv", "cvc",
)  # fmt: skip
_KEYS: Final = _SECRETS + _PERSONAL
"""Ends of names, without case and punctuation, whose values are hidden whatever they are."""
_IS: Final = r"(?:\\?[\"']?\s*[:=]\s*|\\?[\"']\s*,\s*)(?:b(?=[\"']))?"
"""Between a name and its value: ``=``, ``": "``, ``', b'``."""
_QUOTED: Final = r"\\?\"[^\"]*\"?|\\?'[^']*'?"
_NAMED: Final = (
    r"(?i)((?:pass(?:word|wd|phrase)|pwd|secret|token|(?:api|access|private|secret)[_-]?key"
    rf"|credentials?|session[_-]?id){_IS})(?:{_QUOTED}|[^\s\"'&;,)}}\]]+)"
)
"""``password=x``, ``"apiKey": "x"``, ``?token=x``, ``('secret', b'x')``: the value goes."""
_HEADER: Final = rf"(?i)((?:authorization|cookie){_IS})(?:{_QUOTED}|[^\r\n\"']+)"
"""The values of these headers hold blanks, so all of the line goes."""
_EXEMPT: Final = frozenset(
    {
        names.ATTR_ORDER_ID,
        names.ATTR_ORDER_PROCESS,
        names.ATTR_ORDER_TIER,
        names.ATTR_ORDER_PARTNER,
        names.ATTR_ORDER_STAGE,
    }
)
"""What the service calls an order is what people search for."""
_REMEMBERED: Final = 4096
_SHORT: Final = 100
_SMALL: Final = 10**6
"""What is below has less digits than any number that is hidden."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Something to hide, what stays of it, and whether a match is one after all.

    Every text that holds it holds one of the ``hints``, in small letters.
    """

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    stays: str = REDACTED
    check: Callable[[str], bool] = lambda _: True

    def hide(self, text: str) -> str:
        return self.pattern.sub(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        return match.expand(self.stays) if self.check(match[0]) else match[0]


class Redactor:
    """Hides what ``patterns`` (of the service's own, regular expressions) and the defaults find."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        own = [Pattern(("",), re.compile(pattern)) for pattern in patterns]
        self._rules = [(p.hints, p.hide) for p in (*own, *_WORDS)]
        # Numbers of which no pattern can find anything; one of the service's own may.
        self._small = range(0 if own else _SMALL)
        self._clean: set[str] = set()
        self._names: dict[str, bool] = {}

    def text(self, text: str) -> str:
        """The text without what is to be hidden; the same object where there is nothing."""
        if text in self._clean:
            return text
        hidden = text
        lower = text.lower()
        for hints, hide in self._rules:
            for hint in hints:
                if hint in lower:
                    hidden = hide(hidden)
                    break
        if _LONG_NUMBER.search(hidden):
            for pattern in _NUMBERS:
                hidden = pattern.hide(hidden)
        if hidden != text:
            return hidden
        if len(text) <= _SHORT:  # routes, methods and the like come again and again
            if len(self._clean) >= _REMEMBERED:
                self._clean.clear()
            self._clean.add(text)
        return text

    def value(self, name: str, value: object) -> object:
        """A named value without what is to be hidden, nested ones included.

        Booleans, numbers and None stay what they are; anything but text, lists and mappings
        becomes its text.
        """
        if self._names.get(name) is False:  # the most common cases, and on the path of every span
            kind = type(value)
            if value in self._clean if kind is str else kind is int and value in self._small:
                return value
        if value is None or name in _EXEMPT or isinstance(value, (bool, float)):
            return value
        if self._hides(name):
            return REDACTED
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.value(str(k), v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value("", item) for item in value]
        text = value if isinstance(value, str) else str(value)
        hidden = self.text(text)
        return value if hidden is text and isinstance(value, int) else hidden

    def passes(self, values: Mapping[str, object]) -> bool:
        """Whether nothing of them is to be hidden."""
        given = values.values()
        return all(map(operator.is_, map(self.value, values, given), given))

    def mapping(self, values: Mapping[str, object]) -> dict[str, object]:
        """Named values, each without what is to be hidden."""
        return {name: self.value(name, value) for name, value in values.items()}

    def _hides(self, name: str) -> bool:
        found = self._names.get(name)
        if found is None:
            plain = "".join(c for c in name.lower() if c.isalnum())
            found = plain.endswith(_KEYS)
            if len(self._names) < _REMEMBERED:
                self._names[name] = found
        return found


class Unredacted(Redactor):
    """Hides nothing: for a service that wants it so."""

    def text(self, text: str) -> str:
        return text

    def _hides(self, name: str) -> bool:  # noqa: ARG002
        return False


def _luhn(text: str) -> bool:
    digits = [int(c) for c in text if c.isdigit()][::-1]
    if not 13 <= len(digits) <= 19 or digits[-1] not in range(2, 7):
        return False
    return sum(d if n % 2 == 0 else sum(divmod(2 * d, 10)) for n, d in enumerate(digits)) % 10 == 0


def _iban(text: str) -> bool:
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _phone(text: str) -> bool:
    return 9 <= sum(c.isdigit() for c in text) <= 15


def _basic(text: str) -> bool:
    encoded = text.split()[1]
    try:
        return b":" in b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        return False


def _opaque(text: str) -> bool:
    """Whether what follows the word is a token rather than a word."""
    token = text.split()[1]
    return len(token) >= 20 or any(c.isdigit() for c in token)


_WORDS: Final = (
    Pattern(
        ("-----begin ",),
        re.compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"),
    ),
    Pattern(("authorization", "cookie"), re.compile(_HEADER), rf"\1{REDACTED}"),
    Pattern(
        ("passw", "passphrase", "pwd", "secret", "token", "key", "credential", "session"),
        re.compile(_NAMED),
        rf"\1{REDACTED}",
    ),
    Pattern(
        ("sig=", "signature=", "key=", "code=", "auth="),
        re.compile(r"(?i)([?&](?:\w*[_-])?(?:sig|signature|key|code|auth)=)[^\s\"'&#]+"),
        rf"\1{REDACTED}",
    ),
    Pattern(
        ("bearer ",), re.compile(r"(?i)(\bbearer\s+)[\w.~+/=-]{8,}"), rf"\1{REDACTED}", _opaque
    ),
    Pattern(
        ("basic ",), re.compile(r"(?i)(\bbasic\s+)[A-Za-z0-9+/=]{4,}"), rf"\1{REDACTED}", _basic
    ),
    Pattern(("eyj",), re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?")),
    Pattern(("akia", "asia"), re.compile(r"\bA[KS]IA[A-Z0-9]{16}\b")),
    Pattern(
        ("ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xox", "k_live_", "k_test_"),
        re.compile(
            r"\b(?:gh[pos]_|github_pat_|glpat-|xox[abposr]-|[sr]k_(?:live|test)_)[\w-]{10,}"
        ),
    ),
    Pattern(("://",), re.compile(r"://[^\s/?#\"'<>]*@"), f"://{REDACTED}@"),
    Pattern(("@",), re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")),
)
_LONG_NUMBER: Final = re.compile(r"\d[\d ().-]{5,}\d|[A-Z]{2}\d\d ?[A-Z0-9]{4}")
_NUMBERS: Final = (
    # IBANs first: parts of one may look like a card.
    Pattern(
        (),
        re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"),
        check=_iban,
    ),
    Pattern((), re.compile(r"(?<![\w.-])[2-6]\d(?:[ -]?\d){11,17}(?![\w-])"), check=_luhn),
    Pattern(
        (),
        re.compile(r"\+(?<![\w+.-]\+)[1-9]\d{0,2}[ .(-]{0,2}\d(?:[ .()-]{0,2}\d){6,13}(?!\w)"),
        check=_phone,
    ),
    Pattern((), re.compile(r"8(?<![\w.-]8)[ -]?\(\d{3,4}\)[ -]?\d{2,3}-?\d{2}-?\d{2}(?![\w-])")),
    Pattern((), re.compile(r"(?<![\w.-])\(?\d{3}\)?[ .-]\d{3}[.-]\d{4}(?![\w-])")),
)
