-- `GET /orders` asks for the newest orders of one user, over all of their accounts.
create index idx_orders_user_created on orders (tenant_id, user_id, created_at desc);

-- What a venue tells of balances is versioned by its time in milliseconds.
alter table account_balances alter column stream_version type bigint;
