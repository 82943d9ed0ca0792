-- What the platform does itself for an order, and the list that it belongs to. `triggers` begins with the rows that wait.
alter table orders
    add column list_id uuid,
    add column list_kind text,
    add column emulated text,
    add column waits_for text,
    add column trail jsonb,
    add column reference amount,
    add column display_quantity amount;

create index idx_orders_emulated on orders (emulated, status) where emulated <> '';
create index idx_orders_list on orders (tenant_id, list_id) where list_id is not null;
