"""The ports that functions and feeds see, and the runtimes that implement them."""
