"""Work that must not hold up the event loop: fair lanes, threads of low priority, processes. Knows no chat."""
