"""Small stateless HTTP functions that decide. No function imports another."""
