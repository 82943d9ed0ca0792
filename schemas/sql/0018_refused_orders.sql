-- Orders that risk has refused, by account. Each is a stream of its own, so that refusals never wait for one another.
set role patriot_owner;

create index idx_event_store_refused on event_store (tenant_id, (event_data ->> 'account_id'), position)
    where event_type = 'risk.denied';
