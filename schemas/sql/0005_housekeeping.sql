-- One-minute bars straight from the ticks, and one call that keeps the house.
-- replaces 2ce07ad6c3fc5ea2a58cd8ae93c8355ce0d8f7cd961ad2490bcf984fc18761b1 (which failed with TimescaleDB's Apache edition)
set role patriot_owner;

-- ohlc_minutes: a continuous aggregate where TimescaleDB and its licence allow it, else what roll_up_ohlc() has rolled up.
do $$
begin
    if current_setting('timescaledb.license', true) = 'timescale' then
        execute $view$
            create materialized view ohlc_minutes with (timescaledb.continuous) as
                select
                    time_bucket('1 minute', time) as time, instrument,
                    first(price, time) as open, max(price) as high, min(price) as low, last(price, time) as close,
                    sum(quantity) as volume, count(*)::integer as trades
                from ticks
                group by 1, 2
            with no data
        $view$;
        perform add_continuous_aggregate_policy('ohlc_minutes',
            start_offset => interval '1 hour', end_offset => interval '1 minute', schedule_interval => interval '1 minute');
    else
        create view ohlc_minutes as
            select time, instrument, open, high, low, close, volume, trades from ohlc where interval = '1m';
    end if;
end
$$;
grant select on ohlc_minutes to patriot_app, patriot_system;

-- Runs as its caller, patriot_system: the owner itself is bound by row-level security and would delete nothing.
create or replace function keep_house(moment timestamptz) returns void
language plpgsql security invoker set search_path = public as $$
begin
    perform create_partitions(moment);
    perform drop_expired_partitions(moment);
    perform roll_up_ohlc(moment - interval '5 minutes', moment);
    delete from idempotency where created_at <= moment - interval '24 hours';
    delete from inbox where received_at < moment - interval '30 days';  -- no broker redelivers after so long
    delete from state where expires_at < moment;
end
$$;
