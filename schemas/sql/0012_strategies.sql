-- A deployed strategy has a row per account that it trades on; they share its id.
set role patriot_owner;

alter table strategies add column strategy_id uuid;
create index idx_strategies_user on strategies (tenant_id, user_id);
create index idx_strategies_running on strategies (status) where status in ('running', 'paused');
