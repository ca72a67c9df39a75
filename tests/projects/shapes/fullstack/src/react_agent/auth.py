from langgraph_sdk import Auth

auth = Auth()
USERS = {"Bearer ada-key": "ada", "Bearer bob-key": "bob"}


@auth.authenticate
async def authenticate(authorization: str | None) -> Auth.types.MinimalUserDict:
    if authorization not in USERS:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Who are you?")
    return {"identity": USERS[authorization], "is_authenticated": True, "favourite": "tea"}


@auth.on
async def own(ctx: Auth.types.AuthContext, value: dict) -> dict:
    filters = {"owner": ctx.user.identity}
    value.setdefault("metadata", {}).update(filters)
    return filters
