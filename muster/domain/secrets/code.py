"""Whether what stands after the name of a secret is program text, or prose, that only speaks of one."""

from __future__ import annotations

import re
import string

from muster.domain.secrets.values import TYPES

ATTRIBUTE = re.compile(r"[A-Za-z_]{1,64}[0-9]{0,3}(?:(?:\?|!)?\.[A-Za-z_]{1,64}[0-9]{0,3}){1,8}")
_PATH = re.compile(r"[A-Za-z_@]\w{0,80}(?:(?:[?!]?\.|::)[A-Za-z_]\w{0,80}){0,8}[?!]?")
"""A variable, an attribute of one, or what a module calls so."""
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_LABELS = frozenset(
    """
    password passwords passwd pwd pw pass passphrase passcode passwort secret secrets token tokens key keys credential
    kennwort passe contrase senha credentials creds auth authorization cookie cookies hash hashed digest
    """.split()  # noqa: SIM905
)
_VARIABLES = frozenset(
    """
    value val v x p s k t text string input data body form req res request response result hashed encoded encrypted
    decrypted plain plaintext raw row answer line buf buffer env cfg config conf settings opts options args params
    param arg kwargs self this ctx state props new old default other user account creds credentials client conn var
    local module each session app event fields payload item entry
    """.split()  # noqa: SIM905
)
_KEYWORDS = frozenset(
    """
    new await not lambda yield async function func fn move ref mut if match typeof try this self return void raise throw
    pass continue break print exit echo
    """.split()  # noqa: SIM905
)
_MARKED = re.compile(
    r"(?:\b(?:self|this|cls)\.|->|\b(?:let|const|var|val|final|mut|static|auto|String|string|char)\s+\*?)[\w.]{0,80}$"
)
"""What stands before a name that is a variable's or an attribute's."""
_OF_NAMES = string.ascii_letters + string.digits + "_.-"
SAID = frozenset(
    """
    expected never must should is was required invalid missing not the a an and or to for changed reset too cannot
    your my our his her their its user new old current account plain hashed encrypted database optional used if when
    where which that this it at from stored minimum maximum one any no only always same see as in of with does do did
    has have had may can will are were be been too wrong incorrect weak empty
    Your The A An User New Old Current Account Plain Hashed Encrypted Database Optional Required Used If The Must
    """.split()  # noqa: SIM905
)
SAID_ELSEWHERE = frozenset(
    """
    erforderlich falsch vergessen leer optional fehlt obligatoire requis incorrect invalide vide obligatorio
    obligatoria requerida incorrecta olvidada vacia incorreta esquecida vazia verplicht
    """.split()  # noqa: SIM905
)
_METAVARIABLES = frozenset(
    {"password", "passwd", "passphrase", "secret", "token", "key", "string", "value", "text", "file", "pass"}
)
_LINE = 200
"""How much of what stands before a name in its line is looked at."""


def before(found: re.Match[str]) -> str:
    """What stands before it in its line."""
    end = found.start()
    return found.string[max(0, end - _LINE) : end].rpartition("\n")[2]


def whole_name(found: re.Match[str]) -> str:
    """The name that its name is the end of."""
    ahead = before(found)[-100:]
    return (ahead[len(ahead.rstrip(_OF_NAMES)) :] + found["name"]).lstrip("-")


def ends_a_string(found: re.Match[str], opening: str, inner: str) -> bool:
    """Whether the quote is the end of the string that the name stands in: what follows is no value, but code."""
    if inner[:1] not in ("", ")", ",", " ", ";", "+", ".", "}", "]", ":"):
        return False
    return (before(found) + found["name"] + found["is"]).count(opening) % 2 == 1


def is_environment(found: re.Match[str]) -> bool:
    """So are variables of an environment set: what stands there is no code but what a shell puts in."""
    return found["is"] == "=" and not found["flag"] and whole_name(found).isupper()


def is_told_of(found: re.Match[str], value: str) -> bool:
    """Where it is code or prose that speaks of a secret. `value`: without quotes."""
    between = found["is"]
    if found["flag"] and value.isupper() and value.lower() in _METAVARIABLES:  # in a usage
        return True
    if between.strip("\\\"'`]").isspace() or not between.strip():
        return False
    name = value.rstrip(":;,.")
    if name == whole_name(found):  # f(password=password)
        return True
    if is_environment(found):
        return False
    after = found.string[found.end() : found.end() + 3]
    if value.endswith("-") and after[:1] == ">":  # user->password
        return True
    if ":" in between and "=" not in between:
        return _is_told_after_colon(found, value, after) or _is_variable(found, name, after)
    return _is_variable(found, name, after)


def _is_told_after_colon(found: re.Match[str], value: str, after: str) -> bool:
    if value in ("Password", "Secret", "Token"):
        return True
    if value.isidentifier() and after.lstrip().startswith(("=", "|")):  # a: Type = b
        return True
    return found["is"].endswith(" ") and value in SAID and (after[:1] in (" ", '"') or after == "'s ")


def _is_variable(found: re.Match[str], value: str, after: str) -> bool:
    """Whether it is program text that puts another variable there, compares with it, or says of which type it is."""
    between, ahead = found["is"], before(found)
    spaced = " " in between
    if value in _KEYWORDS and spaced and after[:1] == " ":
        return True
    if value[:1] == "!" and value[1:].isalpha() and after[:1] == " ":  # a tag of YAML
        return True
    if value[:1] == ":":  # as in SQL
        return is_variable(value[1:])
    if not _PATH.fullmatch(value) or ahead.endswith(("$", "${")):
        return False
    if after[:1] == "<" and value[0].isupper():  # Option<String>
        return True
    if value.rstrip("?!").lower() in TYPES or "::" in value:
        return True
    if "==" in between:
        return not _has_digits(value) or (spaced and (ATTRIBUTE.fullmatch(value) is not None or _is_labelled(value)))
    return _is_handed_on(found, value, after)


def _is_handed_on(found: re.Match[str], value: str, after: str) -> bool:
    """Whether a variable, or an attribute of one, stands there: the same word may be a password in settings."""
    between, ahead = found["is"], before(found)
    called = "(" in ahead or "{" in ahead or (not ahead.strip() and after[:1] in (",", ")"))
    marked = _MARKED.search(ahead[-120:]) is not None
    dotted = ATTRIBUTE.fullmatch(value) is not None
    of_one = value.partition(".")[0].rstrip("?!") in _VARIABLES
    spaced = " " in between and "=" in between
    if whole_name(found).isupper():
        return (spaced and value.isupper()) or (dotted and not _has_digits(value) and (spaced or called))
    if _has_digits(value):
        return dotted and (called or marked or (spaced and of_one))
    if "=" not in between and not (called or after[:1] in (",", ")", "}", ";")):
        return (dotted and of_one) or (_is_label_of_many(value) and not value.islower())
    if dotted or marked:
        return spaced or called or marked
    return (spaced or called) and is_variable(value)


def _has_digits(value: str) -> bool:
    return any(map(str.isdigit, value))


def is_variable(value: str) -> bool:
    """Whether it is called as variables are that hold such a thing."""
    value = value.rstrip("?!")
    return value.partition(".")[0].rstrip("?!") in _VARIABLES or _is_labelled(value.rpartition(".")[2])


def is_code(value: str) -> bool:
    """Whether a word that stands alone is of a program, or says what is asked for."""
    if value.rstrip(";.") in _KEYWORDS | SAID or value.endswith("."):
        return True
    return ATTRIBUTE.fullmatch(value) is not None or (value.isidentifier() and is_variable(value))


def _is_labelled(value: str) -> bool:
    return any(piece.lower() in _LABELS for piece in _PIECE.findall(value))


def _is_label_of_many(value: str) -> bool:
    return _is_labelled(value) and len(_PIECE.findall(value)) > 1
