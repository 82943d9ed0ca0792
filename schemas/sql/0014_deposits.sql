-- How an account stands is measured every few seconds: its deposits are found without a walk through all its trades.
set role patriot_owner;

create index idx_ledger_entries_external on ledger_entries (tenant_id, account_id) where account_code = 'external';
