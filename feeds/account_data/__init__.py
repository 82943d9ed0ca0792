"""One authenticated connection per exchange account, and the comparison of both sides."""
