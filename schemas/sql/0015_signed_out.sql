-- Tokens that were issued to a user up to this moment are refused, by every process.
set role patriot_owner;

alter table users add column signed_out_at timestamptz;
create index idx_users_signed_out on users (signed_out_at) where signed_out_at is not null;
