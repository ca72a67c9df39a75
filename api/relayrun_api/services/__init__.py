"""Services: what the routes ask for, without HTTP. They decide who may see what, and talk to database and runners."""
