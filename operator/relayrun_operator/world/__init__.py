"""What every world shares: the memory of runs and runners, the calls to runners, and what their streams say."""
