"""A chat model that fills in a form. Any provider, and any address that speaks OpenAI's protocol.

One `ask` is one request: nothing in here tries again, since whoever asks knows what a call may cost and how long a
job can wait. What a provider says about an error is not passed on: it quotes prompts, and sometimes keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from traceback import walk_tb
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError

from muster.domain.memory import ErrorClass, GenerationFailed

T = TypeVar("T", bound=BaseModel)

MAX_RETRY_AFTER = 86_400.0
_CUT_OFF = "it was cut off at the most tokens it may have"


@dataclass
class Spent:
    """Filled in as a call goes on, so that it is known of one that failed, too."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Asked(Generic[T]):
    """What is sent: a text, what to do with it, and the form of the answer."""

    instructions: str
    text: str
    form: type[T]
    max_output_tokens: int

    @property
    def tokens(self) -> int:
        """The most that the input may come to."""
        return most_tokens(self.instructions) + most_tokens(self.text) + _schema_tokens(self.form) + 64


@lru_cache(maxsize=16)
def _schema_tokens(form: type[BaseModel]) -> int:
    """Kept, since writing a schema down takes longer than all else that a call costs us."""
    return most_tokens(json.dumps(form.model_json_schema()))


def most_tokens(text: str) -> int:
    """No tokenizer makes more of a text than it has bytes. Prose comes to a quarter of that, numbers to nearly all."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


class Chat:
    def __init__(self, model: str, *, url: str | None, key: str | None, seconds: float) -> None:
        """`model` is `provider:name`, or with an address of one's own a bare name."""
        self.name, self.seconds = model, seconds
        self._url, self._key = url, key
        self._model: Any = None
        self._client: Any = None
        self._agents: dict[type[BaseModel], Any] = {}
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        client, self._client, self._model = self._client, None, None
        self._agents.clear()
        if client is not None:
            await client.close()

    async def ask(self, asked: Asked[T], spent: Spent) -> T:
        """The form, filled in. Raises GenerationFailed."""
        if asked.form not in self._agents:
            # In a thread, since the libraries take a second to import: heartbeats go on meanwhile.
            async with self._opening:
                agent = self._agents.get(asked.form) or await asyncio.to_thread(self._agent, asked.form)
                self._agents[asked.form] = agent
        from pydantic_ai.usage import RunUsage

        usage = RunUsage()
        try:
            settings: Any = {"max_tokens": asked.max_output_tokens, "timeout": self.seconds}
            spent.calls += 1
            async with asyncio.timeout(self.seconds + 1):
                answer = await self._agents[asked.form].run(
                    asked.text, instructions=asked.instructions, model_settings=settings, usage=usage
                )
                return cast("T", answer.output)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failed = self._as_failure(error)
            if failed.kind in (ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE) and not usage.input_tokens:
                # It may have been read and answered to nobody: counted as if it was.
                usage.input_tokens = asked.tokens if failed.kind == ErrorClass.TIMEOUT else 0
            raise failed from None
        finally:
            spent.input_tokens += usage.input_tokens
            spent.output_tokens += usage.output_tokens

    def _agent(self, form: type[BaseModel]) -> Any:
        """What asks for the form. Kept, since making it costs more than asking. Raises GenerationFailed."""
        try:
            from pydantic_ai import Agent, ModelRetry, RunContext, TextOutput, ToolOutput

            def as_text(context: Any, text: str) -> BaseModel:
                # Some models, and some servers, write the form out instead of calling a tool with it.
                try:
                    return parse(form, text)
                except ValueError as error:
                    cut_off = getattr(context.messages[-1], "finish_reason", None) == "length"
                    raise ModelRetry(_CUT_OFF if cut_off else explained(error)) from None

            # Looked at by the library; a name that is imported here cannot be looked up.
            as_text.__annotations__ = {"context": RunContext[None], "text": str, "return": BaseModel}
            output = [ToolOutput(form, name="remember"), TextOutput(as_text)]
            return Agent(self._opened(), output_type=output, retries=0)
        except Exception as error:
            raise self._as_failure(error) from None

    def _opened(self) -> Any:
        """The model, made when it is first needed: its libraries take a second and some 100 MB."""
        if self._model is None:
            from pydantic_ai import models

            prefix, colon, name = self.name.partition(":")
            if prefix == "anthropic" and self._url:
                self._model = self._anthropic(name)
            elif self._url or not colon or prefix in ("openai", "openai-chat"):
                self._model = self._compatible(name if colon and prefix in ("openai", "openai-chat") else self.name)
            else:
                try:
                    self._model = models.infer_model(self.name, self._provider)
                except ValueError:
                    raise GenerationFailed(ErrorClass.REFUSED, f"there is no provider for {self.name}") from None
        return self._model

    def _compatible(self, name: str) -> Any:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAIError
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        # A server of one's own often wants no key; the client insists on one. It must not be sent another's.
        key = self._key or ("none" if self._url else None)
        try:
            http = DefaultAsyncHttpxClient(timeout=self.seconds, event_hooks={"response": [_status_of_its_error]})
            self._client = AsyncOpenAI(
                base_url=self._url, api_key=key, max_retries=0, timeout=self.seconds, http_client=http
            )
        except OpenAIError:
            raise GenerationFailed(ErrorClass.REFUSED, "MUSTER_MEMORY_MODEL_KEY holds no key for the model") from None
        return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=self._client))

    def _anthropic(self, name: str) -> Any:
        from anthropic import AsyncAnthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        # As for others: no key but the one that was given for this address.
        self._client = AsyncAnthropic(
            base_url=self._url, api_key=self._key or "none", auth_token=None, max_retries=0, timeout=self.seconds
        )
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=self._client))

    def _provider(self, name: str) -> Any:
        from pydantic_ai.providers import infer_provider, infer_provider_class

        if not self._key:
            return infer_provider(name)
        kind: Any = infer_provider_class(name)
        provider = kind(api_key=self._key)
        with contextlib.suppress(AttributeError):
            provider.client.max_retries = 0
        return provider

    def _as_failure(self, error: Exception) -> GenerationFailed:
        """By what a repetition would do. Only our own words, and the number of the answer, go on from here."""
        from pydantic_ai import exceptions as of

        status = getattr(error, "status_code", None)
        said = f"the model's provider answered {status}" if status else "the model's provider failed"
        after = getattr(error, "retry_after", None)
        after = min(MAX_RETRY_AFTER, max(0.0, float(after))) if isinstance(after, int | float) else None
        match error:
            case GenerationFailed():
                return error
            case of.ModelQuotaExceededError():
                return GenerationFailed(ErrorClass.QUOTA, f"{said}: the quota is used up", retry_after=after)
            case of.ModelRateLimitError():
                return GenerationFailed(ErrorClass.RATE_LIMIT, f"{said}: too many requests", retry_after=after)
            case TimeoutError() | of.ModelTimeoutError() | of.ModelRequestTimeout():
                return GenerationFailed(ErrorClass.TIMEOUT, f"the model did not answer within {self.seconds:g} s")
            case of.ModelConnectionError():
                return GenerationFailed(ErrorClass.UNAVAILABLE, "the model's provider could not be reached, or hung up")
            case of.ModelServerError() | of.ModelUnavailableError():
                return GenerationFailed(ErrorClass.UNAVAILABLE, said, retry_after=after)
            case of.ModelHTTPError() if status == 402:
                return GenerationFailed(ErrorClass.QUOTA, f"{said}: the quota is used up", retry_after=after)
            case of.ModelHTTPError() if status == 408 or (status or 0) >= 500:
                return GenerationFailed(ErrorClass.UNAVAILABLE, said, retry_after=after)
            case of.ModelAPIError() if status is None or status < 400:  # the page of a gateway, say
                return GenerationFailed(ErrorClass.UNAVAILABLE, "the model's provider could not be understood")
            case of.ModelAPIError():
                return GenerationFailed(ErrorClass.REFUSED, f"{said}: it refuses the request")
            case of.UnexpectedModelBehavior() if "expected JSON" in str(error):  # the page of a gateway
                return GenerationFailed(ErrorClass.UNAVAILABLE, "the model's provider could not be understood")
            case of.UnexpectedModelBehavior():
                return GenerationFailed(ErrorClass.MALFORMED, _malformed(error))
            case ImportError():
                package = f"pydantic-ai-slim[{self.name.partition(':')[0]}]"
                return GenerationFailed(
                    ErrorClass.REFUSED, f"the model {self.name} needs packages that are not installed: {package}"
                )
            case of.UserError():
                return GenerationFailed(ErrorClass.REFUSED, f"the model {self.name} cannot be used as it is set up")
        if type(error).__module__.partition(".")[0] in ("anthropic", "openai", "httpx", "httpcore"):
            return GenerationFailed(ErrorClass.UNAVAILABLE, "the model's provider could not be understood")
        if isinstance(error, LookupError | TypeError | AttributeError) and _is_in_client(error):
            return GenerationFailed(ErrorClass.MALFORMED, "the model's answer is not in the form of one")
        return GenerationFailed(ErrorClass.INTERNAL, f"the model could not be asked: {type(error).__name__}")


async def _status_of_its_error(response: Any) -> None:
    """Some who pass requests on answer 200 with an error in the body: too many requests, say."""
    if response.status_code != 200 or "json" not in response.headers.get("content-type", ""):
        return
    try:
        answer = json.loads(await response.aread())
    except ValueError:
        return
    error = answer.get("error") if isinstance(answer, dict) else None
    if error and not answer.get("choices"):
        code = error.get("code") if isinstance(error, dict) else None
        response.status_code = code if isinstance(code, int) and 400 <= code < 600 else 502


def _is_in_client(error: BaseException) -> bool:
    """Whether the client stumbled over what it was sent."""
    frames = list(walk_tb(error.__traceback__))
    place = str(frames[-1][0].f_globals.get("__name__")) if frames else ""
    return place.partition(".")[0] in ("anthropic", "pydantic_ai", "openai")


def parse(form: type[T], text: str) -> T:
    """JSON that stands alone, in a fence, or amid words."""
    fenced = re.search(r"```(?:json)?\s*\n(.*?)\n\s*```", text, re.DOTALL)
    candidate = fenced[1] if fenced else text[text.find("{") : text.rfind("}") + 1]
    if not candidate.strip():
        raise ValueError("there is no JSON in it")
    return form.model_validate_json(candidate)


def explained(error: BaseException) -> str:
    """What is wrong with a form: which field and why, without what was written there."""
    if isinstance(error, ValidationError):
        wrong = [
            f"{'.'.join(map(str, detail['loc'])) or 'the answer'}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_context=False, include_input=False)[:5]
        ]
        return "; ".join(wrong)[:500]
    return str(error)[:200]


def _malformed(error: BaseException) -> str:
    """The reason lies somewhere behind the library's own error."""
    seen: BaseException | None = error
    for _ in range(6):
        if seen is None:
            break
        if isinstance(seen, ValidationError):
            return f"the model's answer is not what was asked for: {explained(seen)}"
        part = getattr(seen, "tool_retry", None)
        content = getattr(part, "content", None)
        if isinstance(content, str):
            return f"the model's answer is not what was asked for: {content[:300]}"
        if isinstance(content, list):
            wrong = [f"{'.'.join(map(str, detail.get('loc', ())))}: {detail.get('msg', '')}" for detail in content[:5]]
            return f"the model's answer is not what was asked for: {'; '.join(wrong)[:500]}"
        seen = seen.__cause__ or seen.__context__
    kind = type(error).__name__
    if kind in ("OutputTokenLimitExceeded", "IncompleteToolCall"):
        return "the model's answer was cut off at the most tokens it may have"
    return "the model's answer is not what was asked for: it could not be read"
