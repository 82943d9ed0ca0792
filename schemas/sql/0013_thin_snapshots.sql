-- Of samples older than a week the last of each hour stays, of those older than three months the last of each day.
set role patriot_owner;

create or replace function thin_portfolio_snapshots(moment timestamptz) returns bigint
language sql set search_path = public
begin atomic
    with gone as (
        delete from portfolio_snapshots s
        where s.time < moment - interval '7 days' and exists (
            select from portfolio_snapshots later
            where later.tenant_id = s.tenant_id and later.account_id = s.account_id and later.instrument = s.instrument
                and later.time > s.time and later.time < moment - interval '7 days'
                and date_trunc('hour', later.time, 'UTC') = date_trunc('hour', s.time, 'UTC')
        ) or s.time < moment - interval '90 days' and exists (
            select from portfolio_snapshots later
            where later.tenant_id = s.tenant_id and later.account_id = s.account_id and later.instrument = s.instrument
                and later.time > s.time and later.time < moment - interval '90 days'
                and date_trunc('day', later.time, 'UTC') = date_trunc('day', s.time, 'UTC')
        )
        returning 1
    )
    select count(*) from gone;
end;
