-- `GET /orders` asks for the newest orders of one user, over all of their accounts.
create index idx_orders_user_created on orders (tenant_id, user_id, created_at desc);
