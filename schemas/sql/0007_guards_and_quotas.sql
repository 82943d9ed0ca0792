-- A guard carries its scope's limits: one row tells version, kill switch and limits, and one lock changes all three.
set role patriot_owner;

alter table guards add column limits jsonb not null default '{}';
update guards g set limits = jsonb_build_object('owner', l.limits)
from risk_limits l where l.tenant_id = g.tenant_id and l.scope = g.scope;
drop table risk_limits;
create index idx_guards_halted on guards (tenant_id) where halted;

-- What accounts have used of countable limits; changed only in the transaction that appends the event which changes it.
create table quotas (
    tenant_id uuid not null,
    correlation_id text not null,
    account_id uuid not null,
    name text not null,
    used amount not null,
    primary key (tenant_id, account_id, name)
) with (fillfactor = 70);
select isolate_tenants('quotas');
