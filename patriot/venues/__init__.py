"""Venues behind ccxt: the exchanges themselves, and the built-in venue that speaks their protocols on loopback."""
