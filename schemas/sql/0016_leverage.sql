-- The leverage that an account has chosen, by instrument.
set role patriot_owner;

alter table user_accounts add column leverages jsonb;
