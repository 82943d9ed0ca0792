-- Read models: what traders and operators look at. Written by key from events; patriot/store/tables.py mirrors them.
set role patriot_owner;

create domain amount as numeric(38, 18) check (value <> 'NaN');

create table users (
    tenant_id uuid not null,
    correlation_id text not null,
    id uuid not null,
    telegram_id bigint,
    username text,
    email text,
    display_name text,
    role text,
    status text,
    compliance_status text,
    password_hash text,
    totp_secret_encrypted text,
    created_at timestamptz,
    updated_at timestamptz,
    stream_version integer not null,
    primary key (tenant_id, id)
);
create unique index idx_users_telegram on users (telegram_id);
create unique index idx_users_email on users (email);
select isolate_tenants('users');

create table user_accounts (
    tenant_id uuid not null,
    correlation_id text not null,
    id uuid not null,
    user_id uuid,
    exchange text,
    mode text check (mode in ('paper', 'live')),
    name text,
    api_key_encrypted text,
    api_secret_encrypted text,
    api_passphrase_encrypted text,
    encryption_key_id text,
    is_active boolean,
    created_at timestamptz,
    updated_at timestamptz,
    stream_version integer not null,
    primary key (tenant_id, id)
);
create index idx_user_accounts_user on user_accounts (tenant_id, user_id);
select isolate_tenants('user_accounts');

create table orders (
    tenant_id uuid not null,
    correlation_id text not null,
    id uuid not null,
    account_id uuid,
    user_id uuid,
    strategy_id text,
    parent_id uuid,
    instrument text,
    side text,
    type text,
    time_in_force text,
    reduce_only boolean,
    post_only boolean,
    quantity amount,
    price amount,
    stop_price amount,
    filled_quantity amount,
    average_price amount,
    fees amount,
    fee_asset text,
    status text,
    venue_order_id text,
    client_order_id text,
    reason text,
    created_at timestamptz,
    updated_at timestamptz,
    expires_at timestamptz,
    stream_version integer not null,
    primary key (tenant_id, id)
);
create index idx_orders_user_status on orders (tenant_id, account_id, status, created_at desc)
    where status in ('pending', 'submitted', 'accepted', 'partially_filled', 'unknown');
create index idx_orders_account_created on orders (tenant_id, account_id, created_at desc);
create index idx_orders_client_order_id on orders (client_order_id);
select isolate_tenants('orders');

create table positions (
    tenant_id uuid not null,
    correlation_id text not null,
    account_id uuid not null,
    instrument text not null,
    quantity amount,
    average_price amount,
    realised_pnl amount,
    fees amount,
    leverage integer,
    updated_at timestamptz,
    stream_version integer not null,
    primary key (tenant_id, account_id, instrument)
);
select isolate_tenants('positions');

create table trades (
    tenant_id uuid not null,
    correlation_id text not null,
    account_id uuid not null,
    trade_id text not null,
    order_id uuid not null,
    instrument text,
    side text,
    quantity amount,
    price amount,
    fee amount,
    fee_asset text,
    liquidity text,
    realised_pnl amount,
    executed_at timestamptz,
    primary key (tenant_id, account_id, trade_id, order_id)
);
create index idx_trades_account_executed on trades (tenant_id, account_id, executed_at desc);
create index idx_trades_order on trades (tenant_id, order_id);
select isolate_tenants('trades');

create table ledger_entries (
    tenant_id uuid not null,
    correlation_id text not null,
    posting_id uuid not null,
    entry_no integer not null,
    account_code text,
    account_id uuid,
    asset text,
    amount amount,
    description text,
    posted_at timestamptz,
    primary key (tenant_id, posting_id, entry_no)
);
create index idx_ledger_entries_account on ledger_entries (tenant_id, account_id, posted_at);
select isolate_tenants('ledger_entries');

create table account_balances (
    tenant_id uuid not null,
    correlation_id text not null,
    account_id uuid not null,
    asset text not null,
    total amount,
    free amount,
    used amount,
    updated_at timestamptz,
    stream_version integer not null,
    primary key (tenant_id, account_id, asset)
);
select isolate_tenants('account_balances');

-- available = total - reserved - margin; changed only in the transaction that appends the event which changes it
create table buying_power (
    tenant_id uuid not null,
    correlation_id text not null,
    account_id uuid not null,
    asset text not null,
    total amount not null,
    reserved amount not null,
    margin amount not null,
    primary key (tenant_id, account_id, asset)
) with (fillfactor = 70);
select isolate_tenants('buying_power');

create table strategies (
    tenant_id uuid not null,
    correlation_id text not null,
    id uuid not null,
    user_id uuid,
    account_id uuid,
    name text,
    kind text,
    parameters jsonb,
    status text,
    created_at timestamptz,
    updated_at timestamptz,
    stream_version integer not null,
    primary key (tenant_id, id)
);
select isolate_tenants('strategies');

create table risk_limits (
    tenant_id uuid not null,
    correlation_id text not null,
    scope text not null,
    limits jsonb,
    updated_at timestamptz,
    stream_version integer not null,
    primary key (tenant_id, scope)
);
select isolate_tenants('risk_limits');

create table instruments (
    id text primary key,
    native_symbol text,
    base text,
    quote text,
    settle text,
    kind text,
    tick_size amount,
    lot_size amount,
    price_decimals integer,
    quantity_decimals integer,
    minimum_quantity amount,
    maximum_quantity amount,
    minimum_notional amount,
    contract_size amount,
    maker_fee amount,
    taker_fee amount,
    maximum_leverage integer,
    maintenance_margin_rate amount,
    trading boolean,
    version integer not null
);
grant select on instruments to patriot_app;
grant select, insert, update, delete, truncate on instruments to patriot_system;

create table dead_letters (
    tenant_id uuid not null,
    correlation_id text not null,
    id text not null,
    topic text,
    consumer text,
    body bytea,
    error text,
    attempts integer,
    created_at timestamptz,
    replayed_at timestamptz,
    primary key (tenant_id, id)
);
select isolate_tenants('dead_letters');

-- The embedded runtime's state port; on a cluster Dapr's own stores hold this
create table state (
    tenant_id uuid not null,
    correlation_id text not null,
    store text not null,
    key text not null,
    value bytea,
    etag text,
    expires_at timestamptz,
    primary key (tenant_id, store, key)
);
create index idx_state_expires on state (expires_at) where expires_at is not null;
select isolate_tenants('state');

create view user_balances with (security_invoker = true) as
    select a.tenant_id, a.user_id, b.asset, sum(b.total) as total, sum(b.free) as free, sum(b.used) as used
    from account_balances b
    join user_accounts a on a.tenant_id = b.tenant_id and a.id = b.account_id
    group by a.tenant_id, a.user_id, b.asset;
grant select on user_balances to patriot_app, patriot_system;
