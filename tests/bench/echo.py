"""The limit for orders over HTTP: bare FastAPI and Pydantic that give back the same body. Argument: the port."""

import sys
from decimal import Decimal
from uuid import UUID

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Order(BaseModel):
    account_id: UUID
    instrument: str
    side: str
    order_type: str
    quantity: Decimal
    price: Decimal | None = None
    time_in_force: str = "GTC"


app = FastAPI()


@app.post("/api/v1/orders", status_code=201)
async def echo(order: Order) -> Order:
    return order


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False, loop="uvloop", http="httptools")
