"""Component files, judged. Rule: a setting that can lose, repeat or hide a message is refused, with its file and line.

Most of these are a broker's or Dapr's own defaults. The same judgement is made in the tests and at every start.

ComponentsError
├── UnsafeComponents     what was found, one line each: <file>:<line>: <what, and why>
└── TopicsWrong          (topics.py) a broker does not answer, or has a topic otherwise than it should
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from patriot.runtime.dapr.documents import Document, Finding, read
from patriot.runtime.dapr.ports import SECRETS, STATE
from schemas.topics import PUBSUBS

ROOT = Path(__file__).parents[3] / "components"
MARKET = "market"  # the newest value wins there: losing is part of the deal


class ComponentsError(Exception):
    """The component files cannot be used."""


class UnsafeComponents(ComponentsError):
    """The platform does not start on these."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("unsafe components:\n" + "\n".join(f"  {finding}" for finding in findings))
        self.findings = findings


@dataclass(frozen=True, slots=True)
class Rule:
    """`safe` judges the value, None where the setting is absent."""

    setting: str
    safe: Callable[[str | None], bool]
    why: str
    market_too: bool = True


def _is(*values: str) -> Callable[[str | None], bool]:
    return lambda value: value in values


def _is_not(*values: str) -> Callable[[str | None], bool]:
    return lambda value: value is None or value.lower() not in values


def _absent(value: str | None) -> bool:
    return value is None


def _positive(value: str | None) -> bool:
    return value is not None and value.strip("0smh.") != ""


RULES: Mapping[str, Sequence[Rule]] = {
    "pubsub.kafka": (
        Rule("initialOffset", _is("oldest"), "a new consumer must see what was published before it came"),
        Rule("consumeRetryEnabled", _is_not("false"), "a message whose delivery failed must not be passed over"),
        Rule("authType", lambda value: value is not None, "must say how the broker knows us, if only `none`"),
    ),
    "pubsub.rabbitmq": (
        Rule("durable", _is("true"), "queues must outlive the broker"),
        Rule("deliveryMode", _is("2"), "messages must be written to disk"),
        Rule("deletedWhenUnused", _is("false"), "a queue must not go with its last consumer"),
        Rule("autoAck", _is_not("true"), "a message is acknowledged when it has been handled, not before"),
        Rule("publisherConfirm", _is("true"), "publishing must wait until the broker has the message"),
        Rule("requeueInFailure", _is("true"), "a delivery that fails must come again"),
    ),
    "pubsub.jetstream": (
        Rule("durableName", _is("{appID}"), "each app needs a consumer of its own that outlives it"),
        Rule("queueGroupName", _is("{appID}"), "replicas of an app must share its messages"),
        Rule("deliverPolicy", _is(*("all",)), "a new consumer must see what was published before it came"),
        Rule("ackPolicy", _is("explicit"), "a message is acknowledged when it has been handled"),
        Rule("concurrency", _is("single"), "in parallel the sidecar acknowledges before the app has answered"),
        Rule("memoryStorage", _is_not("true"), "what a consumer has handled must outlive the broker"),
        Rule("maxDeliver", _absent, "the broker would silently give messages up"),
    ),
    "pubsub.redis": (
        Rule("maxLenApprox", _absent, "messages that nobody has read yet would be cut off", market_too=False),
        Rule("processingTimeout", _positive, "0 means that what a crash interrupted is never delivered again"),
        Rule("redeliverInterval", _positive, "0 means that what a crash interrupted is never delivered again"),
        Rule("consumerID", _absent, "every app must have a consumer group of its own"),
    ),
    "state.redis": (Rule("keyPrefix", _is("name"), "parts must see each other's keys"),),
    "state.postgresql": (Rule("keyPrefix", _is("name"), "parts must see each other's keys"),),
    "secretstores.local.env": (),
    "secretstores.local.file": (),
    "secretstores.kubernetes": (),
    "secretstores.hashicorp.vault": (),
}
IN_MEMORY = "belongs to one sidecar: nothing crosses to another"
UNTRIED = "is none of the types that the platform has been tried on"


def refuse_unsafe(*folders: Path) -> None:
    """Raises UnsafeComponents."""
    findings = judge(*folders)
    if findings:
        raise UnsafeComponents(findings)


def judge(*folders: Path) -> Sequence[Finding]:
    """Everything that is unsafe in the YAML files of these folders."""
    documents, findings = read(*folders)
    names = {document.name for document in documents if document.kind == "Component"}
    missing = {*PUBSUBS, STATE, SECRETS} - names
    if missing and not findings:  # what could not be read is told already, and may be what is missing
        findings.append(Finding(folders[0], 0, _missing(folders, sorted(missing))))
    for document in documents:
        judged = _JUDGES.get(document.kind)
        if judged is not None:
            findings += judged(document)
    retried = {name for document in documents if document.kind == "Resiliency" for name in _retried(document)}
    findings += [
        Finding(document.path, document.line("metadata", "name"), f"`{document.name}`: {NOT_RETRIED}")
        for document in documents
        if document.name in PUBSUBS and document.name not in retried and document.kind == "Component"
    ]
    return sorted(findings, key=lambda finding: (str(finding.path), finding.line))


def _missing(folders: Sequence[Path], names: Sequence[str]) -> str:
    if absent := [str(folder) for folder in folders if not folder.is_dir()]:
        return f"there is no folder {', '.join(absent)}"
    return f"there is no component {', '.join(f'`{name}`' for name in names)}"


NOT_RETRIED = "no Resiliency target retries its deliveries: the first failure would make a dead letter"


# --- judging ---
def _component(document: Document) -> Iterator[Finding]:
    kind = document.value["spec"]["type"]
    type_line = document.line("spec", "type")
    if kind.endswith(".in-memory"):
        yield Finding(document.path, type_line, f"{kind} {IN_MEMORY}")
    elif kind not in RULES and document.name in {*PUBSUBS, STATE, SECRETS}:
        yield Finding(document.path, type_line, f"{kind} {UNTRIED}")
    settings = _settings(document)
    for rule in RULES.get(kind, ()):
        value, line = settings.get(rule.setting, (None, type_line))
        if (rule.market_too or document.name != MARKET) and not rule.safe(value):
            told = f"{rule.setting} is not set" if value is None else f"{rule.setting}: {value}"
            yield Finding(document.path, line, f"{told}: {rule.why}")


def _settings(document: Document) -> Mapping[str, tuple[str, int]]:
    """Setting -> (value, line)."""
    entries = document.value["spec"]["metadata"]
    return {
        entry["name"]: (str(entry.get("value", "")), document.line("spec", "metadata", index))
        for index, entry in enumerate(entries)
    }


def _subscription(document: Document) -> Iterator[Finding]:
    if not document.value["spec"].get("deadLetterTopic"):
        yield Finding(document.path, document.line("spec"), "no deadLetterTopic: what cannot be handled would be lost")


def _resiliency(document: Document) -> Iterator[Finding]:
    if document.number:
        yield Finding(
            document.path, document.line("kind"), "Resiliency is not the first document of its file: Dapr ignores it"
        )
    spec = document.value["spec"]
    policies = spec["policies"].get("retries", {})
    for name, policy in policies.items():
        where = document.line("spec", "policies", "retries", name)
        if name.startswith(("DefaultApp", "DefaultRetry")):
            yield Finding(document.path, where, f"{name} repeats calls that may have been carried out")
        if not policy.get("maxRetries", -1) > 0:
            yield Finding(document.path, where, f"{name}: maxRetries must be set and end: without it, it never does")
    apps = spec["targets"].get("apps", {})
    for name, target in apps.items():
        if "retry" in target:
            where = document.line("spec", "targets", "apps", name, "retry")
            yield Finding(document.path, where, f"{name}: repeats calls that may have been carried out")


def _retried(document: Document) -> Iterator[str]:
    targets = document.value["spec"]["targets"].get("components", {})
    for name, target in targets.items():
        if (target.get("inbound") or {}).get("retry") and not document.number:
            yield name


_JUDGES: Mapping[str, Callable[[Document], Iterator[Finding]]] = {
    "Component": _component,
    "Subscription": _subscription,
    "Resiliency": _resiliency,
}
