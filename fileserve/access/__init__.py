"""Who may: tokens, links, sessions and the gate at which each request is judged."""
