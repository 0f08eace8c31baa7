// The page that asks before an account is deleted for good.

import "./log-out.js";
import "./show-password.js";
