-- Time series: hypertables where TimescaleDB can be had, monthly range partitions where not. The same queries either way.
-- replaces 1f96346101eb709e1a8effecd658244e2e55dc6bf7e73fe12cd7ea416bbc014f (that failed with TimescaleDB; without, it did the same)
set role patriot_owner;

create table portfolio_snapshots (
    tenant_id uuid not null,
    correlation_id text not null,
    time timestamptz not null,
    account_id uuid not null,
    instrument text not null,
    quantity amount,
    value_usd amount,
    unrealized_pnl amount,
    primary key (tenant_id, account_id, instrument, time)
) partition by range (time);

create table performance_metrics (
    tenant_id uuid not null,
    correlation_id text not null,
    time timestamptz not null,
    user_id uuid not null,
    total_balance_usd amount,
    daily_pnl amount,
    total_pnl amount,
    sharpe_ratio amount,
    max_drawdown amount,
    primary key (tenant_id, user_id, time)
) partition by range (time);

create table ticks (
    time timestamptz not null,
    instrument text not null,
    trade_id text not null,
    price amount,
    quantity amount,
    side text,
    primary key (instrument, time, trade_id)
) partition by range (time);

create table ohlc (
    time timestamptz not null,
    instrument text not null,
    interval text not null,
    open amount,
    high amount,
    low amount,
    close amount,
    volume amount,
    trades integer,
    primary key (instrument, interval, time)
) partition by range (time);

create table time_series (
    name text primary key,
    retention interval not null
);
comment on table time_series is 'the partitioned tables and how long each keeps its rows';
insert into time_series (name, retention) values
    ('portfolio_snapshots', '2 years'), ('performance_metrics', '10 years'), ('ticks', '3 months'), ('ohlc', '10 years');
grant select, update on time_series to patriot_system;

-- With TimescaleDB each of them becomes a hypertable instead of a partitioned table. Compression and continuous
-- aggregates are jobs, which its Apache edition has not; and only where there is no tenant: the extension refuses them
-- on tables with row-level security.
reset role;
do $$
declare
    series record;
    has_jobs boolean;
begin
    if not exists (select from pg_available_extensions where name = 'timescaledb')
        or not exists (select from pg_settings where name = 'timescaledb.disable_load') then  -- the server has loaded it
        return;
    end if;
    create extension if not exists timescaledb;
    has_jobs := current_setting('timescaledb.license') = 'timescale';
    if has_jobs and not (select rolcanlogin from pg_roles where rolname = 'patriot_owner') then
        alter role patriot_owner with login;  -- jobs run as the owner; without a password nobody else logs in as it
    end if;
    set local role patriot_owner;
    for series in select name, retention from time_series loop
        execute format('create table %1$I_new (like %1$I including all)', series.name);
        execute format('drop table %I', series.name);
        execute format('alter table %1$I_new rename to %1$I', series.name);
        perform create_hypertable(series.name::regclass, by_range('time', interval '1 month'));
    end loop;
    if has_jobs then
        alter table ticks set (timescaledb.compress, timescaledb.compress_segmentby = 'instrument');
        perform add_compression_policy('ticks', interval '7 days');
    end if;
end
$$;
set role patriot_owner;

select isolate_tenants('portfolio_snapshots'), isolate_tenants('performance_metrics');
grant select on ticks, ohlc to patriot_app;
grant select, insert, update, delete, truncate on ticks, ohlc to patriot_system;

-- Rows before the first or after the last monthly partition land in the default partition and are never refused.
do $$
declare
    series record;
begin
    for series in select c.relname from pg_class c join time_series t on t.name = c.relname where c.relkind = 'p' loop
        execute format('create table %1$I partition of %2$I default', series.relname || '_default', series.relname);
    end loop;
end
$$;

-- Creates the partitions from the month of `moment` on. A month whose rows lie in the default partition stays there.
create function create_partitions(moment timestamptz, months integer default 3) returns integer
language plpgsql security definer set search_path = public set timezone = 'UTC' as $$
declare
    series record;
    month timestamptz;
    partition text;
    created integer := 0;
begin
    for series in select c.relname from pg_class c join time_series t on t.name = c.relname where c.relkind = 'p' loop
        for ahead in 0 .. months loop
            month := date_trunc('month', moment) + make_interval(months => ahead);
            partition := series.relname || to_char(month, '_YYYY_MM');
            continue when to_regclass(partition) is not null;
            begin
                execute format('create table %I partition of %I for values from (%L) to (%L)',
                    partition, series.relname, month, month + interval '1 month');
                created := created + 1;
            exception
                when check_violation then null;
            end;
        end loop;
    end loop;
    return created;
end
$$;

-- Drops whole partitions that are past their table's retention, and old rows of the default partition; of hypertables
-- their chunks.
create function drop_expired_partitions(moment timestamptz) returns integer
language plpgsql security definer set search_path = public set timezone = 'UTC' as $$
declare
    series record;
    partition text;
    dropped integer := 0;
begin
    for series in select t.name, t.retention from pg_class c join time_series t on t.name = c.relname
        where c.relkind = 'p' loop
        for partition in
            select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = series.name::regclass and c.relname ~ '_\d{4}_\d{2}$'
        loop
            if to_timestamp(right(partition, 7), 'YYYY_MM') + interval '1 month' <= moment - series.retention then
                execute format('drop table %I', partition);
                dropped := dropped + 1;
            end if;
        end loop;
        execute format('delete from %I where time < $1', series.name || '_default') using moment - series.retention;
    end loop;
    for series in select t.name, t.retention from pg_class c join time_series t on t.name = c.relname
        where c.relkind = 'r' loop
        dropped := dropped + (select count(*) from drop_chunks(series.name::regclass, moment - series.retention));
    end loop;
    return dropped;
end
$$;

-- Rolls the ticks of [from_time, to_time) into one-minute bars; a bar that exists is computed anew.
create function roll_up_ohlc(from_time timestamptz, to_time timestamptz) returns integer
language sql security definer set search_path = public
begin atomic
    with bars as (
        insert into ohlc (time, instrument, interval, open, high, low, close, volume, trades)
        select
            date_trunc('minute', time, 'UTC'), instrument, '1m',
            (array_agg(price order by time, trade_id))[1],
            max(price), min(price),
            (array_agg(price order by time desc, trade_id desc))[1],
            sum(quantity), count(*)
        from ticks
        where time >= date_trunc('minute', from_time, 'UTC') and time < date_trunc('minute', to_time, 'UTC')
        group by 1, 2
        on conflict (instrument, interval, time) do update set
            open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
            volume = excluded.volume, trades = excluded.trades
        returning 1
    )
    select count(*)::integer from bars;
end;

-- What a scheduler calls every minute: partitions ahead, retention, roll-up of the last minutes, expired small rows.
create function keep_house(moment timestamptz) returns void
language plpgsql security definer set search_path = public as $$
begin
    perform create_partitions(moment);
    perform drop_expired_partitions(moment);
    perform roll_up_ohlc(moment - interval '5 minutes', moment);
end
$$;
revoke execute on function create_partitions, drop_expired_partitions, roll_up_ohlc, keep_house from public;
grant execute on function create_partitions, drop_expired_partitions, roll_up_ohlc, keep_house to patriot_system;

select create_partitions(now());
