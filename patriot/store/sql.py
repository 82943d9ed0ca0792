"""The statements of the store. Arrays in, one element per row; rows are taken in key order so that nobody deadlocks.

What a batch writes comes in parts, which `compose` makes one statement of: one round trip, however much there is.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from patriot.store.record import ANSWER_HOURS


class Part(NamedTuple):
    """Common table expressions, and the expression that makes the statement fail where a race was lost. `$n` from 1."""

    tables: str
    verdict: str = ""


@lru_cache(maxsize=1024)
def compose(parts: Sequence[Part]) -> str:
    """One statement for the parts, whose parameters follow one another. Its first column is the first verdict."""
    tables, verdicts, offset = list[str](), list[str](), 0
    for part in parts:
        tables.append(_shifted(part.tables, offset))
        verdicts.append(_shifted(part.verdict, offset))
        offset += max((int(number) for number in re.findall(r"\$(\d+)", part.tables + part.verdict)), default=0)
    head = f"with {', '.join(filter(None, tables))} " if any(tables) else ""
    return f"{head}select {', '.join(filter(None, verdicts)) or '0'}"


def _shifted(text: str, offset: int) -> str:
    return re.sub(r"\$(\d+)", lambda found: f"${int(found[1]) + offset}", text)


# Texts come as one joined string per column: encoding an array of texts costs more than inserting it.
# next_position() assigns the transaction id before any row is written; see 0002_event_store.sql.
EVENTS = Part(
    """
base as materialized (select next_position() as position), events as (
    insert into event_store (position, tenant_id, aggregate_id, event_version, schema_version, occurred_at,
        aggregate_type, event_type, event_data, correlation_id, causation_id, actor)
    select position + n, tenant_id, aggregate_id, version, schema_version, occurred_at,
        coalesce(kind, ''), coalesce(type, ''), data::jsonb,
        coalesce(correlation_id, ''), coalesce(causation_id, ''), coalesce(actor, '')
    from base, unnest($2::uuid[], $3::uuid[], $4::int[], $5::int[], $6::smallint[], $7::timestamptz[],
        string_to_array($8, E'\\x1f'), string_to_array($9, E'\\x1f'), string_to_array($10, E'\\x1f'),
        string_to_array($11, E'\\x1f'), string_to_array($12, E'\\x1f'), string_to_array($13, E'\\x1f'))
        with ordinality as new (tenant_id, aggregate_id, version, follows, schema_version, occurred_at,
        data, kind, type, correlation_id, causation_id, actor, n)
    where follows = 0 or (
        select true from event_store before where before.tenant_id = new.tenant_id
            and before.aggregate_id = new.aggregate_id and before.event_version = new.follows)
    order by tenant_id, aggregate_id, version
    on conflict (tenant_id, aggregate_id, event_version) do nothing
    returning position, tenant_id, occurred_at
), queued as (
    insert into outbox (position, tenant_id, created_at) select * from events where $1
)""",
    "(select position + 1 from base), require_all((select count(*) from events), $14)",
)
APPEND = compose((EVENTS,))

PUBLISHED = Part("published as (delete from outbox where position = any($1::bigint[]))")

# A delete that is lost is only published again.
NOT_WAITING_FOR_THE_DISK = Part("", "set_config('synchronous_commit', 'off', true)")

# For a batch that was planned without locks: fails unless every guard stands as its commits expect.
EXPECTED_GUARDS = Part("", "expect_guards($1::uuid[], $2::text[], $3::int[])")

READ_GUARDS = """
select tenant_id, scope, version, halted, limits
from guards join unnest($1::uuid[], $2::text[]) as wanted (tenant_id, scope) using (tenant_id, scope)
"""

LOCK_LEASES = "select name, epoch from leases where name = any($1::text[]) and owner <> '' order by name for share"

LOCK_BALANCES = """
select b.tenant_id, b.account_id, b.asset, b.total, b.reserved, b.margin
from buying_power b
join unnest($1::uuid[], $2::uuid[], $3::text[]) as wanted (tenant_id, account_id, asset)
    using (tenant_id, account_id, asset)
order by b.tenant_id, b.account_id, b.asset
for update of b
"""

READ_MONEY = """
select tenant_id, account_id, asset as name, total, reserved, margin, null as used
from buying_power
join unnest($1::uuid[], $2::uuid[], $3::text[]) as wanted (tenant_id, account_id, asset)
    using (tenant_id, account_id, asset)
union all
select tenant_id, account_id, name, null, null, null, used
from quotas join unnest($4::uuid[], $5::uuid[], $6::text[]) as wanted (tenant_id, account_id, name)
    using (tenant_id, account_id, name)
"""

CREATE_BALANCES = """
insert into buying_power (tenant_id, account_id, asset, total, reserved, margin, correlation_id)
select tenant_id, account_id, asset, 0, 0, 0, ''
from unnest($1::uuid[], $2::uuid[], $3::text[]) as new (tenant_id, account_id, asset)
order by tenant_id, account_id, asset
on conflict do nothing
"""

# A batch may be planned on balances that nobody has locked: who finds others has lost a race.
BALANCES = Part(
    """
balances as (
    update buying_power b
    set total = new.total, reserved = new.reserved, margin = new.margin, correlation_id = new.correlation_id
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::numeric[], $5::numeric[], $6::numeric[], $7::text[],
        $8::numeric[], $9::numeric[], $10::numeric[])
        as new (tenant_id, account_id, asset, total, reserved, margin, correlation_id,
        total_before, reserved_before, margin_before)
    where b.tenant_id = new.tenant_id and b.account_id = new.account_id and b.asset = new.asset
        and b.total = total_before and b.reserved = reserved_before and b.margin = margin_before
    returning 1
)""",
    "require_all((select count(*) from balances), $11)",
)

READ_HEADS = """
select wanted.tenant_id, wanted.aggregate_id, head.event_version
from unnest($1::uuid[], $2::uuid[]) as wanted (tenant_id, aggregate_id)
cross join lateral (
    select event_version from event_store e
    where e.tenant_id = wanted.tenant_id and e.aggregate_id = wanted.aggregate_id
    order by event_version desc limit 1
) head
"""

READ_INBOX = """
select tenant_id, consumer, event_id
from inbox join unnest($1::uuid[], $2::text[], $3::text[]) as wanted (tenant_id, consumer, event_id)
    using (tenant_id, consumer, event_id)
"""

INBOX = Part(
    """
handled as (
    insert into inbox (tenant_id, consumer, event_id, correlation_id, received_at)
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) order by 1, 2, 3
    on conflict do nothing
    returning 1
)""",
    "require_all((select count(*) from handled), $6)",
)

READ_ANSWERS = f"""
select tenant_id, user_id, route, key, body_hash, status, response
from idempotency
join unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[])
    as wanted (tenant_id, user_id, route, key, moment) using (tenant_id, user_id, route, key)
where created_at > moment - interval '{ANSWER_HOURS} hours'
"""  # noqa: S608 (a number of our own)

ANSWERS = Part(
    f"""
answers as (
    insert into idempotency
        (tenant_id, user_id, route, key, body_hash, status, response, correlation_id, created_at)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::int[], $7::bytea[],
        $8::text[], $9::timestamptz[]) order by 1, 2, 3, 4
    on conflict (tenant_id, user_id, route, key) do update set
        body_hash = excluded.body_hash, status = excluded.status, response = excluded.response,
        correlation_id = excluded.correlation_id, created_at = excluded.created_at
    where idempotency.created_at <= excluded.created_at - interval '{ANSWER_HOURS} hours'
    returning 1
)""",  # noqa: S608 (a number of our own)
    "require_all((select count(*) from answers), $10)",
)

# A lost session is older than ours; a younger one with its number is another.
SESSION_LIVES = """
select exists (
    select from pg_stat_activity lost, pg_stat_activity own
    where lost.pid = $1 and own.pid = pg_backend_pid() and lost.backend_start < own.backend_start)
"""

FIND_EVENTS = """
select count(*), min(position)
from event_store join unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::timestamptz[])
    as wanted (tenant_id, aggregate_id, event_version, correlation_id, occurred_at)
    using (tenant_id, aggregate_id, event_version, correlation_id, occurred_at)
"""

_EVENT = """
    tenant_id, aggregate_id, event_version, position, aggregate_type, event_type, schema_version, event_data,
    occurred_at, correlation_id, causation_id, actor
"""

LOAD = f"select {_EVENT} from load_events($1, $2, $3)"  # noqa: S608 (columns of our own)

REFUSED_ORDERS = f"""
select {_EVENT} from event_store
where tenant_id = $1 and event_type = 'risk.denied' and event_data ->> 'account_id' = $2 and position > $3
order by position desc limit $4
"""  # noqa: S608 (columns of our own)

CAUSED_BY = f"""
select {_EVENT} from event_store where tenant_id = $1 and correlation_id = $2 order by position limit $3
"""  # noqa: S608 (columns of our own)

READ = f"""
select {_EVENT} from event_store
where position > $1 and position < (select position_horizon())
    and (cardinality($2::text[]) = 0 or aggregate_type = any($2))
order by position limit $3
"""  # noqa: S608 (columns of our own)

# Rows that a writer is taking off right now are locked and skipped.
UNPUBLISHED = f"""
with waiting as materialized (
    select position from outbox where created_at < $1 order by position limit $2 for update skip locked
)
select {_EVENT} from event_store where position in (select position from waiting) order by position
"""  # noqa: S608 (columns of our own)

SAVE_SNAPSHOT = """
insert into snapshots (tenant_id, aggregate_id, aggregate_type, version, data) values ($1, $2, $3, $4, $5)
on conflict (tenant_id, aggregate_id) do update set version = excluded.version, data = excluded.data
where snapshots.version < excluded.version
"""

LOAD_SNAPSHOT = "select version, data from snapshots where tenant_id = $1 and aggregate_id = $2"

# Its writer holds the table's lock: nobody has raised them since they were read.
RAISED_GUARDS = Part("""
raised as (
    insert into guards (tenant_id, scope, version, halted, limits, correlation_id)
    select * from unnest($1::uuid[], $2::text[], $3::int[], $4::boolean[], $5::jsonb[], $6::text[])
    on conflict (tenant_id, scope) do update set
        version = excluded.version, halted = excluded.halted, limits = excluded.limits,
        correlation_id = excluded.correlation_id
)""")

READ_HALTED = "select tenant_id, scope from guards where halted"

READ_SIGNED_OUT = "select id, signed_out_at from users where signed_out_at >= $1"

LOCK_QUOTAS = """
select q.tenant_id, q.account_id, q.name, q.used
from quotas q
join unnest($1::uuid[], $2::uuid[], $3::text[]) as wanted (tenant_id, account_id, name)
    using (tenant_id, account_id, name)
order by q.tenant_id, q.account_id, q.name
for update of q
"""

# A quota that did not exist could not be locked: who finds another sum than planned has lost the race to make it.
QUOTAS = Part(
    """
used as (
    insert into quotas (tenant_id, account_id, name, used, correlation_id)
    select tenant_id, account_id, name, change, correlation_id
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::numeric[], $5::text[])
        as new (tenant_id, account_id, name, change, correlation_id) order by 1, 2, 3
    on conflict (tenant_id, account_id, name) do update set
        used = quotas.used + excluded.used, correlation_id = excluded.correlation_id
    returning tenant_id, account_id, name, used
), as_planned as (
    select from used join unnest($1::uuid[], $2::uuid[], $3::text[], $6::numeric[])
        as planned (tenant_id, account_id, name, used) using (tenant_id, account_id, name, used)
)""",
    "require_all((select count(*) from as_planned), $7)",
)

ACQUIRE_LEASE = """
insert into leases (name, owner, epoch, expires_at) values ($1, $2, 1, $3)
on conflict (name) do update set
    owner = excluded.owner, expires_at = excluded.expires_at,
    epoch = leases.epoch + case when leases.owner = excluded.owner then 0 else 1 end
where leases.owner = excluded.owner or leases.expires_at <= $4
returning epoch
"""

RELEASE_LEASE = """
update leases set owner = '', expires_at = '-infinity' where name = $1 and owner = $2 and epoch = $3
"""
