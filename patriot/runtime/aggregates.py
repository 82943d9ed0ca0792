"""The kinds of event streams and their folds. One line each."""

from patriot.domain import account, algorithm, deployment, order, override, position, transfer
from patriot.domain.risk import level
from patriot.runtime.decision import Aggregate

ORDER: Aggregate[order.Order] = Aggregate("order", order.fold)
POSITION: Aggregate[position.Position] = Aggregate("position", position.fold)
ACCOUNT: Aggregate[account.Account] = Aggregate("account", account.fold_account)
ALGORITHM: Aggregate[algorithm.Algorithm] = Aggregate("algorithm", algorithm.fold)
USER: Aggregate[account.User] = Aggregate("user", account.fold_user)
LEVEL: Aggregate[level.Level] = Aggregate("risk", level.fold)
TRANSFER: Aggregate[transfer.Transfer] = Aggregate("transfer", transfer.fold)
STRATEGY: Aggregate[deployment.Deployment] = Aggregate("strategy", deployment.fold)
SETTING: Aggregate[override.Overrides] = Aggregate("setting", override.fold)
