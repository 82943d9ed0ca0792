-- A stream of one tenant in one round trip: the tenant is set for this statement's own transaction, and binds its rows.
set role patriot_owner;

create function load_events(tenant uuid, aggregate uuid, after integer) returns setof event_store
language plpgsql volatile as $$
begin
    perform set_config('patriot.tenant_id', tenant::text, true);
    return query
        select * from event_store e
        where e.tenant_id = tenant and e.aggregate_id = aggregate and e.event_version > after
        order by e.event_version;
end
$$;
