//! Where WeChat sends a list, although it may have one entry or none: the closed table.

/// The paths, from a child of the root down, of the elements of `event` that are always arrays.
pub(super) fn of(event: &str) -> &'static [&'static str] {
    match event {
        "pic_sysphoto" | "pic_photo_or_album" | "pic_weixin" => &["SendPicsInfo.PicList"],
        "subscribe_msg_popup_event" => &["SubscribeMsgPopupEvent.List"],
        // WeChat's own sample has the other event's name in it.
        "subscribe_msg_change_event" => &[
            "SubscribeMsgChangeEvent.List",
            "SubscribeMsgPopupEvent.List",
        ],
        "subscribe_msg_sent_event" => &["SubscribeMsgSentEvent.List"],
        "MASSSENDJOBFINISH" => &[
            "CopyrightCheckResult.ResultList",
            "ArticleUrlResult.ResultList",
        ],
        "PUBLISHJOBFINISH" => &[
            "PublishEventInfo.article_detail.item",
            "PublishEventInfo.fail_idx",
        ],
        "wxa_appeal_record" => &["material", "material.appeal_material.proof_material_id"],
        "wxa_media_check" => &["detail"],
        "add_express_path" => &["Actions"],
        "add_waybill" => &["GoodsDetail"],
        _ => &[],
    }
}
