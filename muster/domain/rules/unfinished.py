"""What is open when a session ends: what failed and was not mended, what is left to do, what nobody answered."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from muster.domain.memory import NewObservation
from muster.domain.rules import commands, outcomes, statements, terminal
from muster.domain.rules.closing import is_closable, is_closed, told
from muster.domain.rules.cycles import fails_again, has_failed, placed
from muster.domain.rules.labels import Label, is_postponed, is_still_there, is_untried, label_of, offers, plain
from muster.domain.rules.notebooks import is_same_cell
from muster.domain.rules.reading import Act, Kind
from muster.domain.rules.records import is_over
from muster.domain.rules.sentences import sentences
from muster.domain.rules.settled import hooks_pass, settled
from muster.domain.rules.steps import Step, steps
from muster.domain.rules.stories import broken
from muster.domain.rules.talk import is_of_user
from muster.domain.rules.text import one_line

LAST_WORDS = 6
"""Messages from the end of a session in which it may say what is left in any words. With a label, in all of it."""
MAX_TALK = 400
MAX_LEFT = 60
"""Things that are looked after: the latest that were said."""
MUCH = 24
"""Uses of tools that went well: after so many, what was to come next has come, or other things have."""

# -- What failed ----------------------------------------------------------------------------------------------------


def failing(told: Sequence[NewObservation], acts: Sequence[Act]) -> list[NewObservation]:
    """What failed, and nothing that was mended later says that this was it."""
    tried = {act.event.id for act in acts if act.tool}
    errors = [(place, o) for place, o in enumerate(told) if o.type == "error"]
    return [
        o
        for place, o in errors
        if not any(
            _mends(later, o, said=tried.isdisjoint(o.sources)) for later in told[place + 1 :] if later.type == "bugfix"
        )
        and not _is_outlived(o, acts)
        and not is_over(o, acts)
        and not settled(o, acts)
    ]


def _is_outlived(error: NewObservation, acts: Sequence[Act]) -> bool:
    """Whether it was printed by an agent that said more after it, and ended well."""
    at = next((n for n, act in enumerate(acts) if act.kind is Kind.OUTPUT and act.event.id in error.sources), None)
    if at is None or not outcomes.fails(text := outcomes.printed(acts[at].text)):
        return False
    ended = next((n for n in range(at, len(acts)) if acts[n].kind is Kind.ENDED), None)
    if ended is None or acts[ended].data.get("status") != "completed" or error.title != broken(acts[at]).title:
        return False
    return len(outcomes.since_failure(text)) >= _SAYS_SOMETHING or any(
        act.kind in _SPEAKS for act in acts[at + 1 : ended]
    )


_SAYS_SOMETHING = 20
"""Letters; "12 passed in 3s" is of something else."""
_SPEAKS = (Kind.OUTPUT, Kind.MESSAGE, Kind.RESULT)


def _mends(fix: NewObservation, error: NewObservation, *, said: bool) -> bool:
    """What was tried is mended when it passes; what somebody only said, when somebody says it of the same."""
    if not said:
        return not set(fix.sources).isdisjoint(error.sources)
    about, mended = _words(error.title), _words(f"{fix.title} {(fix.narrative or '')[:300]}")
    return len(about & mended) >= min(2, max(1, len(about)))


_IDLE = frozenset(
    """
    error fails faile fixed still again there where which after befor withi while cause becau since
    """.split()  # noqa: SIM905
)


def _words(text: str) -> set[str]:
    """The beginnings of its long words: crash and crashes are the same."""
    return {word[:5] for word in re.findall(r"\w{4,40}", text.lower())} - _IDLE


def passed_since(error: NewObservation, acts: Sequence[Act]) -> bool:
    """Whether all that failed was done again, and did not."""
    if _passes_in_itself(error, acts):
        return True
    failed = [(n, act) for n, act in enumerate(acts) if act.tool and act.event.id in error.sources and has_failed(act)]
    return bool(failed) and all(
        any(
            _passes(later, act)
            for later in acts[n + 1 :]
            if later.tool and not has_failed(later) and not fails_again(later, act)
        )
        for n, act in failed
    )


def _passes_in_itself(error: NewObservation, acts: Sequence[Act]) -> bool:
    """Whether it was all shown by a terminal, and runs well there in the end."""
    shown = [act for act in acts if act.kind is Kind.OUTPUT and act.event.id in error.sources]
    return bool(shown) and all(terminal.is_mended(act.text) for act in shown)


def _passes(later: Act, failed: Act) -> bool:
    if not failed.command:
        return later.tool == failed.tool and (
            later.data == failed.data or is_same_cell(failed.tool, later.data, failed.data, failed.text)
        )
    return (
        commands.covers(later.command, placed(failed))
        or commands.covers(placed(later), placed(failed))
        or (
            commands.program(later.command) == commands.program(failed.command)
            and commands.picks(later.command, placed(failed), outcomes.failure(failed.text).listed, failed.text)
        )
        or hooks_pass(failed, later)
        or _does_so_another_way(later.command, failed)
    )


def _does_so_another_way(later: str, failed: Act) -> bool:
    """The same program does the same to what the failure was about, however it is told to."""
    tried = [step for step in steps(failed.command) if not step.prepares]
    if len(tried) != 1 or commands.is_check(failed.command):
        return False
    before, about = _doing(tried[0]), _about(tried[0], failed.text)
    return bool(about) and any(
        not step.hidden and _does(_doing(step), before) and about <= _things(step) for step in steps(later)
    )


_ELSEWHERE = frozenset(["ssh"])
"""What its words say is done on the host that comes first."""
_SUBCOMMANDS = frozenset(
    """
    pip pip3 pipx uv poetry conda mamba brew apt apt-get dnf yum apk gem composer helm systemctl terraform gh aws gcloud
    npm pnpm yarn cargo go git docker podman kubectl
    """.split()  # noqa: SIM905
)
_WITH_VALUE = frozenset(["-p", "-i", "-l", "-o", "-F", "-J"])
_ONLY_TRIES = re.compile(r"--(?:dry-run|help|version|check|simulate|download-only)\b")
_HOST = re.compile(r"[a-z]{2,10}://(?:[^/@\s]{1,100}@)?([^/:\s]{1,200})")
_VERSION = re.compile(r"(?<=[\w\]])(?:[=<>~!^]=?|@).{0,100}$", re.DOTALL)
_UNIT = re.compile(r"\.(?:service|timer|socket|target|mount)$")


def _doing(step: Step) -> tuple[str, ...]:
    """The program and what it is told to do; of what runs elsewhere, both there. No more where it only shows."""
    if step.name in _ELSEWHERE:
        host, inner = _inner(step)
        return (step.name, host, *(_doing(inner) if inner else ()))
    words = [word for word in step.words[1:] if not word.startswith("-")]
    has_more = step.name in _SUBCOMMANDS and not commands.shows(shlex.join(step.words))
    return (step.name, *(words[:1] if has_more else ()))


def _inner(step: Step) -> tuple[str, Step | None]:
    options = zip(step.words, step.words[1:], strict=False)
    words = [word for option, word in options if word[:1] != "-" and option not in _WITH_VALUE]
    inner = steps(" ".join(words[1:]))
    return (words[0] if words else ""), (inner[-1] if inner else None)


def _does(later: tuple[str, ...], before: tuple[str, ...]) -> bool:
    """What only looked says no more than the program; any use of that will do."""
    return later[: len(before)] == before


def _things(step: Step) -> set[str]:
    if any(_ONLY_TRIES.match(word) for word in step.words):
        return set()
    words = step.words[1:]
    if step.name in _ELSEWHERE:
        _, inner = _inner(step)
        words = inner.words[1:] if inner else ()
    plain = [word for word in words if word[:1] != "-"]
    hosts = (found[1] for word in plain if (found := _HOST.match(word)))
    return {*hosts, *(_UNIT.sub("", _VERSION.sub("", word)) for word in plain)}


def _about(step: Step, output: str) -> set[str]:
    """What it was told to do something with, and complained of."""
    said = outcomes.failure(output).what
    return {
        thing
        for thing in _things(step) - set(_doing(step))
        if len(thing) > 2 and re.search(rf"(?<![\w-]){re.escape(thing[:200])}(?![\w-])", said)
    }


# -- What is left to do ---------------------------------------------------------------------------------------------

_LEFT = re.compile(
    r"^\W{0,4}(?:still |noch )?(?:open|to[- ]?dos?|pending|remaining|outstanding|left(?: to do)?|next(?: steps?)?|"
    r"follow[- ]?ups?|known (?:issues?|problems?)|missing|offen|ausstehend|zu erledigen|nächste schritte?|"
    r"reste(?: à faire)?|à faire|restant|prochaines? étapes?|pendientes?|por hacer|falta|próximos? pasos?|"
    r"pendente|próximos passos|da fare|prossimi passi|осталось|открыто|残(?:件|作業|課題|り)|未対応|次のステップ|"
    r"今後の(?:対応|課題)|"
    r"待办|待处理|待解决|下一步|剩余|남은 (?:작업|일)|할 일|다음 단계)(?: (?:work|tasks?|items?|issues?|questions?|"
    r"points?|punkte|fragen|aufgaben))?"
    r"\**\s?[:：]"
    r"|\btodo\b(?!\.\w)|\bnext steps?\b|"
    r"\bstill (?:open\b|need|to (?:do|be)\b|missing\b|pending\b|outstanding\b|unclear\b)|"
    r"\bremains? (?:to\b|open\b|unfixed\b|unsolved\b)|\b(?:is|are) (?:still )?(?:pending|outstanding)\b|"
    r"\bremaining (?:work|steps?|tasks?|issues?|items?|problems?)\b|\bnot yet\b|"
    r"n['’]t (?:\w{1,20} ){0,3}yet\b|\bnot (?:\w{1,20} ){1,3}yet\b|\bfollow[- ]?ups?\b|\bleft to do\b|"
    r"\blater we\b(?! (?:also |then )?(?:(?!need)\w{1,20}ed|found|saw|went|made|had|were|got|did|chose|wrote|built|ran|"
    r"took|put|knew)\b)|"
    r"\bunresolved\b|"
    r"\b(?:is|are|am|remains?|still) blocked\b|^\W{0,4}blocked\b|"
    r"\boffene? (?:punkte?|fragen?|aufgaben?)\b|\bnoch (?:nicht|offen|ausstehend|zu (?:tun|klären|erledigen|prüfen))\b|"
    r"\bmuss noch\b|\bmüssen noch\b|\bfehlt noch\b|\bfehlen noch\b|\bsteht noch aus\b|\bstehen noch aus\b|"
    r"\bbleibt (?:noch )?(?:offen|zu)\b|"
    r"\b(?:il )?reste(?:nt)? (?:encore )?à\b|\bpas encore\b|\ben suspens\b|\bnon résolu|"
    r"\b(?:todavía|aún) no\b|\bqueda(?:n)? (?:por|pendientes?)\b|\bfalta(?:n)? por\b|\bestá(?:n)? pendientes?\b|"
    r"\bainda não\b|\bnon (?:è |sono )?ancora\b|\bresta da\b|\brimane da\b|\bin sospeso\b|"
    r"\b(?:ещё|еще|пока) не\b|\bосталось\b|"
    r"未(?:対応|完了|解決|設定|実装|着手)|まだ[^。\n]{0,40}(?:ない|いません|できません|ておらず)|要対応|残っています|"
    r"尚未|还(?:没|未)|待(?:办|处理|解决|定)|未(?:完成|解决|处理)|아직|미(?:완료|해결)|남아 ?있",
    re.IGNORECASE,
)
"""How people say that something is left to do."""
_COULD_NOT = re.compile(
    r"\b(?:I|we)(?: still)? (?:could(?: not|n['’]t)|cannot|can['’]t|(?:was|were|am|are)(?: not|n['’]t) able|(?:was|"
    r"were|am|are) unable|"
    r"did(?: not|n['’]t) (?:manage|get (?:to|around)|have (?:the )?time))\b|"
    r"\bkonnten? (?:ich|wir)\b[^;\n]{0,100}\bnicht\b|\b(?:ich|wir) (?:konnten? |habe[n]? es )[^;\n]{0,100}\bnicht\b|"
    r"\bje n['’]ai pas (?:pu|réussi)|\bnous n['’]avons pas (?:pu|réussi)|\bno (?:pude|pudimos|he podido|hemos podido|"
    r"logré)\b|"
    r"\bnão (?:consegui|conseguimos|pude)\b|\bnon (?:sono riuscit|ho potuto|siamo riusciti)|\bне (?:удалось|смог)|"
    r"できませんでした|(?:没能|未能)|못했습니다",
    re.IGNORECASE,
)
"""How whoever works says that something was not done."""
_FELL_SHORT = re.compile(
    r"\b(?:I|we) (?:did(?: not|n['’]t)|could(?: not|n['’]t)) (?:quite |fully |yet )?(?:reach|meet|hit|achieve|get to) "
    r"(?!for\b|out\b|up\b)[^.\n]{0,80}?(?:\d|\b(?:goal|target|aim)\b)",
    re.IGNORECASE,
)
"""How whoever works says that less was reached than was asked."""
_NOTHING_LEFT = re.compile(
    r"\b(?:nothing|none|no|nobody)\b (?:\w{1,20} ){0,3}(?:left|remain|open|unresolved|blocked|todo|next steps?|follow|"
    r"still|"
    r"outstanding|pending|not yet)|\bno longer (?:blocked|open|pending)|"
    r"[:：]\W{0,4}(?:nothing|none|no(?:ne)?|n/a|nichts|keine?s?|rien|aucune?|nada|ninguno?|niente|ничего|нет|なし|"
    r"特になし|无|没有|없음)\b\W*$|"
    r"\bnichts mehr\b|\bkeine offenen\b",
    re.IGNORECASE,
)
_ALL_DONE = re.compile(
    r"\W{0,6}(?:(?:so|and|now|ok(?:ay)?|great|with that),?\s){0,2}(?:there(?:['’]s| is) )?"
    r"(?:nothing (?:is |more )?(?:left|open|to do)(?: (?:to do|any ?more|now))?|"
    r"(?:all|every) (?:of )?(?:the |these |those |my |our )?(?:open )?"
    r"(?:to-?dos?|items?|points?|issues?|tasks?) (?:is|are|were|have been) (?:now |all )?"
    r"(?:done|closed|fixed|resolved|finished)|"
    r"(?:still )?open(?: points)?: (?:nothing|none)|nichts mehr (?:offen|zu tun)|es ist nichts mehr offen)\W{0,4}",
    re.IGNORECASE,
)
"""All that was ever said to be left is done."""
_TICKED = re.compile(r"\s{0,8}(?:(?:[-*•–]|\d{1,3}[.)])\s{1,4})?(?:✅|✔|☑|\[[xX]\])")
_GOES_ON = re.compile(
    r"\b(?:i|we)(?:['’]ll| will| should| need to| must| have to| can now)\b(?![^.\n]{0,120}\blater\b)|"
    r"\blet(?:['’]s| me| us)\b|"
    r"\bnext step (?:is|will be|would be)\b|\bfollow[- ]?up (?:edit|command|call|query|search|step)\b",
    re.IGNORECASE,
)
"""How an agent says what it does at once."""
_ITEM = re.compile(r"\s*(?:[-*•–]|\d{1,3}[.)])\s+\S")
_NUMBERED = re.compile(r"^[ \t]{0,8}\d{1,3}\.[ \t]+(\S.{0,300})$", re.MULTILINE)
_HEAD = re.compile(r"[:：]\**\s*$")


def left_to_do(acts: Sequence[Act]) -> Iterator[str]:
    """By the last plan, by what was said, and by the question that nobody answered."""
    plan = next((act for act in reversed(acts) if act.kind is Kind.PLAN and act.items), None)
    if plan:
        done = ("completed", "done", "cancelled")
        yield from (one_line(what, 160) for what, state in plan.items if state not in done)
    yield from (one_line(plain(line), 160).rstrip(":： ") for line, over in _said_to_be_left(acts) if not over)
    talk = [act for act in acts if act.kind in (Kind.MESSAGE, Kind.PROMPT)]
    if talk and talk[-1].text.rstrip().endswith(statements.QUESTION_MARKS):
        yield from (one_line(line, 160) for line in sentences(talk[-1].text)[-1:])


def left_and_done(acts: Sequence[Act]) -> list[str]:
    """What was said to be left to do, and later to be done."""
    return [one_line(line, 160) for line, over in _said_to_be_left(acts) if over]


def _done_at_once(acts: Sequence[Act]) -> set[UUID]:
    """Messages after which whoever wrote them went on with it."""
    return {act.event.id for act, then in pairwise(acts) if act.kind is Kind.MESSAGE and then.tool}


def _past(acts: Sequence[Act], much: int) -> set[UUID]:
    """Messages after which so much was done."""
    found: set[UUID] = set()
    done = 0
    for act in reversed(acts):
        if act.kind is Kind.MESSAGE and done >= much:
            found.add(act.event.id)
        done += act.tool != "" and act.kind is not Kind.PLAN and not act.failed
    return found


class _Line(NamedTuple):
    text: str
    label: Label | None
    listed: bool


def _said_to_be_left(acts: Sequence[Act]) -> list[tuple[str, bool]]:
    """With each, whether something that was said later closes it."""
    talk = [act for act in acts if act.kind in (Kind.MESSAGE, Kind.PROMPT)][-MAX_TALK:]
    done_at_once, long_past, goes_on = _done_at_once(acts), _past(acts, MUCH), _past(acts, 1)
    said = [sentences(act.text, 40) for act in talk]
    found: list[tuple[int, int, _Line]] = []
    for number, act in enumerate(talk):
        if any(map(_ALL_DONE.fullmatch, said[number])):
            found = []
        ends = act.event.id not in goes_on
        lines = list(_left(act, said[number], lately=number >= len(talk) - LAST_WORDS, ends=ends))
        if any(line.listed and line.label for line in lines):
            # A list of what is left tells all of it anew.
            found = [one for one in found if not (one[2].listed and one[2].label)]
        for line in lines:
            if _counts(
                line,
                act,
                is_last=act is talk[-1],
                recent=number >= len(talk) - LAST_WORDS,
                at_once=act.event.id in done_at_once,
                long_past=act.event.id in long_past or number + 2 * MUCH < len(talk),
            ):
                found.append((number, said[number].index(line.text), line))
    if not found:
        return []
    first = min(number for number, _, _ in found)
    done = [(number, place, one) for number in range(first, len(talk)) for place, sentence in enumerate(said[number])
            if (one := told(sentence))]  # fmt: skip
    return [
        (line.text, is_closed(line.text, (one for *at, one in done if (number, place) < tuple(at))))
        for number, place, line in found[-MAX_LEFT:]
    ]


def _counts(line: _Line, act: Act, *, is_last: bool, recent: bool, at_once: bool, long_past: bool) -> bool:
    """What people want next is done next, unless they say how something stands."""
    if _TICKED.match(line.text):
        return False
    if is_last:
        return True
    if long_past and (line.label is Label.NEXT or offers(line.text) or is_still_there(line.text)):
        return False
    if at_once and line.label is None and not line.listed and _GOES_ON.search(line.text[:600]):
        return False
    if is_of_user(act):
        return line.label in (Label.STATE, Label.BLOCKED) and is_closable(line.text)
    return recent or (is_closable(line.text) and not (line.label is Label.NEXT and at_once))


def _stays(head: str, *, lately: bool, ends: bool) -> bool:
    """Less was reached than was asked, or something is as it was."""
    return (lately and _FELL_SHORT.search(head) is not None) or is_still_there(head) or (ends and is_untried(head))


def _left(act: Act, lines: Sequence[str], *, lately: bool, ends: bool) -> Iterator[_Line]:
    """`lately`: in whatever words it is said. `ends`: nothing was done after it."""
    works = not is_of_user(act) and not act.speaker
    head_of: Label | None = None
    listed = False
    numbered = {" ".join(item.split())[:80] for item in _NUMBERED.findall(act.text)}
    for line in lines:
        head = line[:600]
        label = label_of(head)
        if listed and (_ITEM.match(line) or line[:80] in numbered) and not (label and _HEAD.search(head)):
            if lately or head_of:
                yield _Line(line, head_of, listed=True)
            continue
        later = not works and label is None and is_postponed(head) and is_of_user(act)
        if later or (works and _stays(head, lately=lately, ends=ends)):
            yield _Line(line, Label.STATE if later else label, listed=False)
            listed = False
            continue
        found = label or (
            lately and (_LEFT.search(head) or (works and _COULD_NOT.search(head) and not statements.mends(head)))
        )
        listed = bool(found) and _HEAD.search(head) is not None
        head_of = label if listed else None
        if found and not listed and not _NOTHING_LEFT.search(head):
            yield _Line(line, label, listed=False)
