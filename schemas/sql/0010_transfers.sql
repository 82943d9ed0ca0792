-- Deposits, withdrawals and transfers between accounts, as of their newest event.
set role patriot_owner;

create table transfers (
    tenant_id uuid not null,
    correlation_id text not null,
    id uuid not null,
    user_id uuid,
    kind text,
    account_id uuid,
    to_account_id uuid,
    asset text,
    amount amount,
    destination text,
    status text,
    reason text,
    approvals integer,
    approvals_needed integer,
    created_at timestamptz,
    updated_at timestamptz,
    stream_version integer not null,
    primary key (tenant_id, id)
);
create index idx_transfers_user on transfers (tenant_id, user_id, created_at desc);
create index idx_transfers_pending on transfers (tenant_id, created_at) where status = 'requested';
select isolate_tenants('transfers');

-- Per user what the source calls the portfolio: the totals of all accounts at the same moment.
create view user_portfolio_snapshots with (security_invoker = true) as
    select a.tenant_id, a.user_id, s.time, sum(s.value_usd) as value_usd, sum(s.unrealized_pnl) as unrealized_pnl
    from portfolio_snapshots s
    join user_accounts a on a.tenant_id = s.tenant_id and a.id = s.account_id
    where s.instrument = '*'
    group by a.tenant_id, a.user_id, s.time
    having count(s.value_usd) = count(*);
grant select on user_portfolio_snapshots to patriot_app, patriot_system;

-- Samples of a week ago are wanted by the hour, those of three months ago by the day.
create function thin_portfolio_snapshots(moment timestamptz) returns bigint
language sql set search_path = public
begin atomic
    with gone as (
        delete from portfolio_snapshots
        where (time < moment - interval '7 days' and time <> date_trunc('hour', time, 'UTC'))
            or (time < moment - interval '90 days' and time <> date_trunc('day', time, 'UTC'))
        returning 1
    )
    select count(*) from gone;
end;
revoke execute on function thin_portfolio_snapshots from public;
grant execute on function thin_portfolio_snapshots to patriot_system;

create or replace function keep_house(moment timestamptz) returns void
language plpgsql security invoker set search_path = public as $$
begin
    perform create_partitions(moment);
    perform drop_expired_partitions(moment);
    perform roll_up_ohlc(moment - interval '5 minutes', moment);
    perform thin_portfolio_snapshots(moment);
    delete from idempotency where created_at <= moment - interval '24 hours';
    delete from inbox where received_at < moment - interval '30 days';  -- no broker redelivers after so long
    delete from state where expires_at < moment;
end
$$;
