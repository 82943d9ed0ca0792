"""Record what venues prove about orders, and what that does to positions and money."""
