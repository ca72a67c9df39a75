"""The local world: the engine applied to runner processes on this machine (`relayrun dev`)."""
