-- Asks `picket posture serve` whether a request may pass. txn.picket_status is its answer: 204 may, all else may
-- not, 503 when nobody answers; txn.picket_nonce is for the next token.
local verifier = os.getenv("PICKET_VERIFIER") or "127.0.0.1:8470"

core.register_action("picket_posture", { "http-req" }, function(txn)
    local ask = {}
    for _, name in ipairs({ "picket-posture", "authorization", "x-device-cn" }) do
        local values = txn.http:req_get_headers()[name]
        if values then
            ask[name] = {}
            for i = 0, #values do
                table.insert(ask[name], values[i])
            end
        end
    end
    local answer = core.httpclient():get({ url = "http://" .. verifier .. "/", headers = ask, timeout = 5000 })
    local status, nonce = 503, ""
    if answer and answer.status and answer.status > 0 then
        status = answer.status
        nonce = answer.headers and answer.headers["picket-nonce"] and answer.headers["picket-nonce"][0] or ""
    end
    txn:set_var("txn.picket_status", status)
    txn:set_var("txn.picket_nonce", nonce)
end)
