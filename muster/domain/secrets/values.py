"""Whether what stands where a secret would is one: much of it is a type, a place for one, or a label."""

from __future__ import annotations

import re

CODE = re.compile(r"[(\[{$<*%|]|^(?:none|null|nil|true|false|str|string|text|undefined|self\..*|os\..*|process\..*)$",
                   re.IGNORECASE)  # fmt: skip
"""A value that is code, a type or a place for one, and no secret."""
PLACE = re.compile(
    r"\$\{?\w{1,100}\}?|\$\{\w{1,100}:?[-=?+](?:\$?\{?\w{0,100}\}?|\[removed:\w{1,20}\])\}|\$\{\w{1,100}:?\?[^{}]{0,100}\}"
    r"|[$#]\{[^{}]{1,100}\}|\$\(.*|\{\{.*|<[^<>]*>|\{[A-Za-z_][\w.!:\[\]]{0,100}\}|\{\}|%(?:\(\w{1,60}\))?[sdvqr]"
    r"|%\w{1,60}%|[*•]+|[\w-]{0,12}(?:…|\.\.\.)",
    re.DOTALL,
)
"""Where a value is put in, within quotes, or hidden."""
_CONSONANTS = re.compile(r"[b-df-hj-np-tv-xz]{5}")
_HUMP = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]")
TYPES = frozenset(
    """
    str string text bytes bytearray number boolean bool any unknown object int integer char byte varchar nvarchar
    buffer secretstr secretbytes secretstring option optional vec box arc rc cow cstr cstring osstring zeroizing
    maybe nullable promise future result list array set map dict record uint8array charsequence
    uuid date datetime never void undefined null none nil
    """.split()  # noqa: SIM905
)
"""In lower case."""


def _spelt(word: str) -> str:
    """Its pattern, also where its letters are escaped as in JSON."""
    return "".join(
        char if char.isascii() else f"(?:{char}|\\\\{{1,7}}u(?:{ord(char):04x}|{ord(char.upper()):04x}))"
        for char in word
    )


ELSEWHERE = (
    r"(?:(?-i:(?<![A-Za-z])|(?<=[a-z0-9])(?=[A-Z]))(?:kennwort|mot[ _-]?de[ _-]?passe|contrase(?:n\u0303?|"
    + _spelt("ñ") + ")a|senha|wachtwoord|adgangskode|passord|" + _spelt("lösenord") + "|" + _spelt("hasło") + ")|"
    + "|".join(map(_spelt, ("пароль", "密码", "密碼", "パスワード", "비밀번호"))) + ")"
)  # fmt: skip
"""What a password is called in other languages."""
NEEDLES_ELSEWHERE = (
    "kennwort", "passe", "contrase", "senha", "wachtwoord", "adgangskode", "passord", "senord",
    "has\u0142", "has\\u0142",
    "\u043f\u0430\u0440", "u043f", "u041f", "\u5bc6", "u5bc6", "\u30d1\u30b9", "u30d1", "\ube44\ubc00", "ube44",
)  # fmt: skip
"""In lower case, one of which stands wherever one of them does."""
_ON_FORMS = frozenset(
    """
    a account access admin again an and api are at be been bearer can cannot cant change characters choose client code
    confirm cookie cookies create credential credentials current database default did do does don dont email empty enter
    expired field fill for forgot forgotten format has have here hide id in incorrect input invalid is it key keys least
    length login long lost match matches max maximum mfa min minimum minlength maxlength missing must name new no not of
    old on one only optional or otp pass passcode passphrase password passwords pin please private provide provided re
    read recover refresh remember repeat required reset retype root same secret secrets session set short should show
    sign strong t text that the this to token tokens too type unknown up update use user username valid verify was weak
    will with wrong you your
    bitte das dein deine eingeben erforderlich falsches geben ihr ihre kennwort neues oder passwort passwörter sie
    ungültig vergessen wiederholen zurücksetzen ändern
    mot de passe oublié votre nouveau saisissez contraseña olvidada olvidaste su nueva introduce senha esqueceu sua nova
    digite забыли введите пароль новый ваш
    """.split()  # noqa: SIM905
)
_WORD = re.compile(r"[^\W\d_]+")


def is_label(name: str, value: str) -> bool:
    """Whether it only says what stands there, as on a form, in a translation or a map of names: the name once more, or
    some words of which each is one that forms are made of."""
    if len(value) > 200:
        return False
    if _plain(value) == _plain(name):
        return True
    words = _WORD.findall(value)
    return len(words) > 1 and " " in value and sum(map(str.isdigit, value)) < 3 and all(
        word.lower() in _ON_FORMS for word in words
    )  # fmt: skip


def is_folder(name: str, value: str) -> bool:
    """Where pwd is the folder that somebody is in."""
    return name.lower() in ("pwd", "oldpwd") and value.startswith(("/", "~", "./", "C:"))


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower())).replace("passwort", "password")


def _is_random(value: str) -> bool:
    """Not made of words, though it has letters only."""
    return len(value) >= 16 and value.isalpha() and (
        _CONSONANTS.search(value) is not None or len(_HUMP.findall(value)) * 5 > len(value)
    )  # fmt: skip


_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_JAGGED = 10


def is_jagged(value: str) -> bool:
    """Letters and digits whose case changes too often for words joined by capitals."""
    if not (_JAGGED <= len(value) <= 200 and value.isascii() and value.isalnum()):
        return False
    return len(_PIECE.findall(value)) * 11 > len(value) * 5


ABOUT_IT = re.compile(r"(?:sha|md|base|argon|b?crypt|pbkdf|utf|aes|oauth|rfc|uuid|v)-?\d", re.IGNORECASE)
"""What says how one is made, or of which version it is."""


def may_be_told(value: str) -> bool:
    """Of what is said of a password: whether it is the password, and not a word about it."""
    if CODE.search(value) or ABOUT_IT.match(value) or "-" in value:
        return False
    return is_jagged(value) or (any(map(str.isalpha, value)) and any(map(str.isdigit, value)))


def may_be_secret(value: str) -> bool:
    """Of what is called a secret or a token. Much that is, is a word: the name of a secret, a kind of token."""
    if len(value) < 8 or " " in value:
        return False
    return (any(map(str.isdigit, value)) and any(map(str.isalpha, value))) or _is_random(value)
